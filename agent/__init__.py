"""The process on a host: consumes operation tasks, prepares their plugins, runs them, reports.

`worker` shows an operation's life from top to bottom; `agent.Agent` puts the parts together; ``python -m
outrider.agent`` is the service. Messages are those of `outrider.messaging`; plugins' processes are in `runner`.
"""
