"""The commands while a manager is in use: the same nouns as locally, over its REST API."""
