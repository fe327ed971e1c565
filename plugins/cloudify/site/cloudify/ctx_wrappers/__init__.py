"""Files that are copied to hosts beside a script."""
