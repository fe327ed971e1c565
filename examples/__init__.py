"""Applications to look at and to run; `python -m examples.demo` runs one from start to end."""
