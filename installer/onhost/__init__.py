"""The part of the installer that runs on the host, as root or as the user who shall own the agent.

Packed into ``host.pyz`` (see `outrider.installer.bundle.zipapps`), so it imports nothing but the standard library and
itself, and runs on Python 3.9. It is called as ``python3 host.pyz ACTION``, takes one JSON object on standard input
(secrets come this way, never in arguments) and answers with one JSON object on its last line of output.
"""
