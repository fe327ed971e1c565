"""What comes with every agent for the host itself: the part of the built-in plugin `agent` that runs there."""
