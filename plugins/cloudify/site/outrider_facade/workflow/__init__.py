"""The workflow side of the interface: a plugin's workflow function talks to the dispatcher that runs its execution.

`context` is what the function gets as ``ctx``, `graph` builds graphs, `following` submits them and waits, `talk` asks.
The dispatcher owns every graph: whatever dies here, it goes on with what was submitted, and a function that is called
again finds its graphs by their names.
"""
