"""What a plugin can be built from: a folder with a build, one ``.py`` file with its requirements, or a requirement.

A one-file plugin says what it needs in a ``# /// script`` block, by
https://packaging.python.org/en/latest/specifications/inline-script-metadata/, or in a ``requirements.txt`` beside it.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import BadSource

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_BLOCK = re.compile(r"(?m)^# /// script[ \t]*$\n(?P<content>(^#(| .*)$\n)+)^# ///[ \t]*$")
_VERSION = re.compile(r"""(?m)^__version__\s*=\s*["']([0-9][0-9A-Za-z.+!]*)["']""")
REQUIREMENTS = "requirements.txt"
#: What builds and tools leave in a source folder: changes there do not change the plugin.
_IGNORED_FOLDERS = frozenset({"__pycache__", "build", "dist", "node_modules"})
_IGNORED_SUFFIXES = (".pyc", ".pyo", ".egg-info", ".wgn", "~")


@dataclass(frozen=True)
class ModuleSource:
    """A plugin that is one Python file; the module keeps the file's name."""

    path: Path
    name: str
    version: str
    requires: tuple[str, ...]
    requires_python: str = ""


def read_module(path: Path) -> ModuleSource:
    """Read what a one-file plugin says about itself. Raises BadSource with the file and the reason."""
    if not path.stem.isidentifier():
        raise BadSource(f"{path}: {path.stem!r} cannot be a module's name; use letters, digits and underscores")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSource(f"{path}: cannot be read: {error}; a plugin's file is UTF-8 text") from error
    block = _script_block(path, text)
    beside = path.with_name(REQUIREMENTS)
    requires = [
        *_strings(path, block.get("dependencies", [])),
        *(_requirement_lines(beside) if beside.is_file() else ()),
    ]
    version = _VERSION.search(text)
    return ModuleSource(
        path=path,
        name=path.stem,
        version=version.group(1) if version else "0.0.0",
        requires=tuple(dict.fromkeys(requires)),
        requires_python=str(block.get("requires-python", "")),
    )


def source_digest(path: Path) -> str:
    """Return a hash over everything in a plugin's source that can change what is built from it.

    Raises BadSource when there is nothing at ``path``.
    """
    digest = hashlib.sha256()
    for name, file in _contents(Path(path)):
        digest.update(f"{name}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _contents(path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield path.name, path
        beside = path.with_name(REQUIREMENTS)
        if path.suffix == ".py" and beside.is_file():
            yield REQUIREMENTS, beside
    elif path.is_dir():
        for file in sorted(path.rglob("*")):
            relative = file.relative_to(path)
            if file.is_file() and not any(_ignored(part) for part in relative.parts):
                yield str(relative), file
    else:
        raise BadSource(f"{path}: there is no such file or folder; check the plugin's source")


def _ignored(part: str) -> bool:
    return part.startswith(".") or part in _IGNORED_FOLDERS or part.endswith(_IGNORED_SUFFIXES)


def _script_block(path: Path, text: str) -> dict[str, Any]:
    found = list(_BLOCK.finditer(text))
    if len(found) > 1:
        raise BadSource(f"{path}: has {len(found)} '# /// script' blocks; one is allowed")
    if not found:
        return {}
    lines = found[0]["content"].splitlines()
    try:
        return tomllib.loads("\n".join(line[2:] for line in lines))
    except tomllib.TOMLDecodeError as error:
        raise BadSource(f"{path}: its '# /// script' block is not valid TOML: {error}") from error


def _strings(path: Path, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadSource(f"{path}: 'dependencies' in its '# /// script' block must be a list of strings")
    return value


def _requirement_lines(path: Path) -> list[str]:
    """Return the requirements of a file; pip's options (``-r``, ``--index-url``) have no place in a distribution."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = re.sub(r"(^|\s)#.*$", "", line).strip()
        if text.startswith("-"):
            raise BadSource(
                f"{path}:{number}: {text!r} is an option of pip; only requirements can be built into a plugin"
            )
        if text:
            found.append(text)
    return found
