"""Commands, scripts and files on hosts without an agent, by SSH.

Built as a wheel and wagon of its own (`outrider-plugin-ssh`); runs on the central agent. `tasks` holds the operations,
`access` is the way to a host.
"""
