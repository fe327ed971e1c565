"""The built-in plugin `agent`: puts agents on the hosts of deployments, and takes them away.

Its operations (`operations`) are those of ``cloudify.interfaces.cloudify_agent``. They run on the central agent like
any other, each in a process of its own, in the environment of Outrider itself; so they may use the whole installer.
`outrider.dispatcher.builtin_operations` names them by text.
"""
