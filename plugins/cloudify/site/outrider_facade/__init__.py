"""What stands behind the packages of this folder: their common parts, under a name that clashes with nobody's.

This folder is put first on the path of an operation's process, so that `cloudify`, `cloudify_rest_client`,
`script_runner` … are the ones given here: small, standard library only, quick to import. Names, signatures and
semantics are those that existing plugins use. What is not here is looked for in the packages of the same name that the
plugin's wagon brought: whole modules (`fall_through`), and single names (`further_names`).
"""

import os
import sys

#: Where users read what there is.
GUIDE = "docs/how-to/bring-your-cloudify-plugin.md"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Callable


def fall_through(path: "list[str]", package: str) -> "list[str]":
    """Return a package's ``__path__`` with the folders of the same package further down `sys.path` at its end."""
    relative = package.replace(".", os.sep)
    further = [os.path.join(entry, relative) for entry in sys.path]
    return [*path, *(folder for folder in further if folder not in path and os.path.isdir(folder))]


def further_names(module: str) -> "Callable[[str], object]":
    """Return a module's ``__getattr__`` that takes what is missing from the copy that the plugin's wagon brought.

    For modules of functions, constants and values. Where classes and state must be the same for all (errors, contexts,
    workflows), a second copy would not be caught, or not be set: these say `missing_from`.
    """

    def further(name: str) -> object:
        asker = _asker(module, name)
        from outrider_facade.further import NotThere, further_name

        try:
            return further_name(module, name)
        except NotThere as error:
            raise _not_provided(f"{module}.{name}", str(error), asker) from error.__cause__

    return further


def missing_from(module: str) -> "Callable[[str], object]":
    """Return a module's ``__getattr__`` that says by name what is not provided."""

    def missing(name: str) -> object:
        asker = _asker(module, name)
        raise _not_provided(
            f"{module}.{name}", "and no other copy of this module can stand in: do without the name", asker
        )

    return missing


def _asker(module: str, name: str) -> "FrameType":
    """Return who asks. Raises a plain AttributeError where import machinery, libraries and runners only probe."""
    frame = sys._getframe(2)
    while frame.f_code.co_name == "__getattr__" and frame.f_back is not None:
        frame = frame.f_back
    # ``from package import name`` asks for an attribute, then imports a submodule, and only then needs the attribute.
    looks_for_submodule = frame.f_code.co_filename == "<frozen importlib._bootstrap>"
    if looks_for_submodule or name.startswith(("__", "OUTRIDER_")) or f"{module}.{name}" in sys.modules:
        raise AttributeError(name)
    return frame


def _not_provided(name: str, remedy: str, asker: "FrameType") -> Exception:
    from opcode import opmap

    text = f"{name} is not provided by Outrider's cloudify interface, {remedy} ({GUIDE})"
    # In the place of an AttributeError's text, the statement ``from module import name`` puts one of its own.
    imports = asker.f_lasti >= 0 and asker.f_code.co_code[asker.f_lasti] == opmap["IMPORT_FROM"]
    return ImportError(text) if imports else AttributeError(text)
