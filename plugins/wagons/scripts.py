"""Entry points, and the small scripts in ``bin/`` that call them.

The formats are those of https://packaging.python.org/en/latest/specifications/entry-points/.
"""

from __future__ import annotations

import configparser
import re

#: The groups that become scripts, in both of which a script looks the same on POSIX.
SCRIPT_GROUPS = ("console_scripts", "gui_scripts")
#: The kernel reads no more of a script's first line (BINPRM_BUF_SIZE is 128 on older kernels).
_LONGEST_SHEBANG = 127
_REFERENCE = re.compile(r"(?P<module>[\w.]+)\s*:\s*(?P<attribute>[\w.]+)\s*(\[.*\])?")
_TEMPLATE = """\
import re
import sys
from {module} import {first}
if __name__ == "__main__":
    sys.argv[0] = re.sub(r"(-script\\.pyw|\\.exe)?$", "", sys.argv[0])
    sys.exit({attribute}())
"""


class _CaseSensitive(configparser.ConfigParser):
    """Entry points tell ``Name`` from ``name``."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def parse_entry_points(text: str) -> tuple[tuple[str, str, str], ...]:
    """Return (group, name, reference) of the scripts in an ``entry_points.txt``. Raises ValueError."""
    parser = _parsed(text)
    found = []
    for group in SCRIPT_GROUPS:
        if not parser.has_section(group):
            continue
        for name, reference in parser.items(group):
            if _REFERENCE.fullmatch(reference.strip()) is None:
                raise ValueError(f"script {name!r} has the reference {reference!r}, which is not MODULE:ATTRIBUTE")
            if "/" in name or name in (".", "..") or any(ord(one) < 33 for one in name):
                raise ValueError(f"script {name!r} cannot be a file name")
            found.append((group, name, reference.strip()))
    return tuple(found)


def entry_point_names(text: str, group: str) -> tuple[str, ...]:
    """Return the names in one group of an ``entry_points.txt``. Raises ValueError."""
    parser = _parsed(text)
    return tuple(parser.options(group)) if parser.has_section(group) else ()


def _parsed(text: str) -> configparser.ConfigParser:
    parser = _CaseSensitive(delimiters=("=",), interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ValueError(f"cannot be read: {error}".replace("\n", " ")) from error
    return parser


def script_text(python: str, reference: str) -> bytes:
    """Return the script that calls ``reference`` with the interpreter ``python``."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ValueError(f"{reference!r} is not MODULE:ATTRIBUTE")
    attribute = match["attribute"]
    body = _TEMPLATE.format(module=match["module"], first=attribute.split(".")[0], attribute=attribute)
    return shebang(python) + body.encode("utf-8")


def shebang(python: str) -> bytes:
    """Return a first line that starts ``python``; through a shell where the kernel could not read the path."""
    line = f"#!{python}\n".encode()
    if len(line) <= _LONGEST_SHEBANG and " " not in python:
        return line
    quoted = python.replace("'", "'\"'\"'")
    # Both a shell command and a Python string: the shell replaces itself, Python sees a literal.
    return f"#!/bin/sh\n'''exec' '{quoted}' \"$0\" \"$@\"\n' '''\n".encode()


def with_interpreter(content: bytes, python: str) -> bytes:
    """Return a wheel's own script with ``#!python`` replaced, as the wheel format asks."""
    first, newline, rest = content.partition(b"\n")
    if not first.startswith(b"#!python"):
        return content
    return shebang(python) + (rest if newline else b"")
