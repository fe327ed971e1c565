"""AWS resources as nodes of a blueprint, in the types and properties that AWS blueprints already use.

Built as a wheel and wagon of its own (`outrider-plugin-aws`). There is no class per resource type: `resources/` holds a
table with one row (`row.Row`) for each, and the engine interprets it. Read in this order:

* `operations`: what plugin.yaml names; one function for each operation of all types
* `engine`: make a resource or find it, wait for it, remove it
* `row`: what a row can say; `resources/network.py` is a good first look at rows
* `work`: one operation on one resource: its node, its instance, its connection
* `ownership`: how a resource is known to be ours, so that nothing is made twice or taken from somebody else
* `errors`: what AWS answers, and what it means for the attempt
"""
