"""The language's functions: what they are called, when they are evaluated, and how.

`names` says what is a function; `markers` how a value that holds a secret travels without it; `scope` and `storage`
what a caller provides; `evaluate` does the work, at creation and at run time; `references` checks functions in a
blueprint before anything exists.
"""

from __future__ import annotations

from outrider.dispatcher.blueprint.functions.names import FUNCTIONS, has_functions, is_function

__all__ = ["FUNCTIONS", "has_functions", "is_function"]
