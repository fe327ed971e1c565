"""Turns blueprints into graphs of operations and sequences them; `dispatcher.Dispatcher` is its face."""
