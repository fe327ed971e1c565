"""The built-in plugin `script`: runs a blueprint's scripts as operations, with a `ctx` command inside them.

`tasks.run` is the operation. Standard library only: it comes with the agent and runs in every environment.
"""
