"""Takes single names from the copy of a module that the plugin's wagon brought, where the module here lacks them.

`outrider_facade.further_names` asks it, for names that would be missing otherwise. The copy is executed once, beside
the module of this folder and never in its place: no ``import`` finds it, and what it imports is this folder's again.
"""

import os
import sys
from _thread import get_ident
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

_SITE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

#: Module → its copy; (thread, module) → its copy while that thread executes it. No lock: the imports that a copy makes
#: have theirs, and two threads that wait for each other's would wait for ever. Of two copies the first counts.
_copies = {}
_under_way = {}
#: Module → why its copy cannot be used: it is not executed again.
_broken = {}


class NotThere(Exception):
    """There is no such name further down the path; the text says what was found instead, and what to do."""


def further_name(module, name):
    """Return what the next copy of `module` has under `name`. Raises `NotThere`."""
    copy = _copies.get(module) or _under_way.get((get_ident(), module)) or _executed(module)
    try:
        # Not `getattr`: a copy may have a ``__getattr__`` that ends here again.
        return vars(copy)[name]
    except KeyError:
        raise NotThere(
            f"nor has it {copy.__file__}, which the plugin's wagon brought: require a version of that distribution "
            "that has it, and build the plugin again"
        ) from None


def _executed(module):
    if module in _broken:
        raise NotThere(_broken[module])
    spec = PathFinder.find_spec(module, _folders(module))
    if spec is None or spec.origin is None:
        raise NotThere(
            f"and the plugin's wagon brought no {module}: "
            "require the distribution that has it, and build the plugin again"
        )
    copy = module_from_spec(spec)
    key = (get_ident(), module)
    _under_way[key] = copy
    try:
        spec.loader.exec_module(copy)
    except Exception as error:
        _broken[module] = (
            f"and {spec.origin}, which the plugin's wagon brought, cannot be imported "
            f"({type(error).__name__}: {error}): require what it needs, and build the plugin again"
        )
        raise NotThere(_broken[module]) from error
    finally:
        del _under_way[key]
    return _copies.setdefault(module, copy)


def _folders(module):
    """Return where further copies of a module may be: where its package is looked for, this folder left out."""
    package = module.rpartition(".")[0]
    path = sys.modules[package].__path__ if package else sys.path
    return [folder for folder in path if os.path.commonpath([_SITE, os.path.abspath(folder)]) != _SITE]
