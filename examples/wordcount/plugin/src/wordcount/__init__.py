"""The plugin of the word count example: `configuration` renders a file, `service` runs a web service, `web` is it."""
