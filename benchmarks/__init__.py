"""Benchmarks: programs that print what was measured, on which machine, with which sample size.

``python -m benchmarks.NAME`` prints a table, with ``--json`` one JSON object; ``python -m benchmarks`` runs all.
"""
