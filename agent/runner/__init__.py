"""The warm process inside one plugin's environment, and the children that it forks.

Copied by hash, with the SDK and the facade, to the agent's ``sdk/<hash>/`` and started there by the plugin's own
Python: standard library only, Python 3.9. `main` supervises, `child` runs one operation and ends, `tree` ends what is
left of one. The agent itself uses `protocol`, `processes`, `cgroups` and `tree` from its own copy.
"""
