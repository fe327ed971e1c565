"""Docker images, containers, networks, volumes and registries as nodes of a blueprint.

Built as a wheel and wagon of its own (`outrider-plugin-docker`); runs in its own environment, on the central agent or
on the agent of the host whose engine it drives. One module per kind of resource; `client` connects, `owned` finds
what an earlier try of the same instance made, so that nothing is made twice.
"""
