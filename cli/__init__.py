"""The `outrider` command, and `local`: the one place that composes dispatcher and in-process agent.

`main` guards the entry point (it runs on the agent's floor too), `app` lists the commands, one module per noun.
"""
