"""What stands behind the packages of this folder: their common parts, under a name that clashes with nobody's.

This folder is put first on the path of an operation's process, so that `cloudify`, `cloudify_rest_client`,
`script_runner` … are the ones given here: small, standard library only, quick to import. Names, signatures and
semantics are those that existing plugins use. What is not here is looked for in the packages of the same name that the
plugin's wagon brought (`fall_through`).
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable


def fall_through(path: "list[str]", package: str) -> "list[str]":
    """Return a package's ``__path__`` with the folders of the same package further down `sys.path` at its end."""
    relative = package.replace(".", os.sep)
    further = [os.path.join(entry, relative) for entry in sys.path]
    return [*path, *(folder for folder in further if folder not in path and os.path.isdir(folder))]


def missing_from(module: str) -> "Callable[[str], object]":
    """Return a module's ``__getattr__`` that says by name what is not provided."""

    def missing(name: str) -> object:
        # Import machinery and libraries probe for dunder names; they expect the plain answer.
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"{module}.{name} is not provided by Outrider's cloudify interface")

    return missing
