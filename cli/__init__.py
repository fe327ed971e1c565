"""The `outrider` command, and `local`: the one place that composes dispatcher and in-process agent.

`main` guards the entry point (it runs on the agent's floor too), `app` makes the command line of the tables in
`commands` and `remote.commands`; one module per noun, loaded when it is called.
"""
