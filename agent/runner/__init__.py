"""The life of an operation's process: what runs inside a plugin's environment. Standard library only."""
