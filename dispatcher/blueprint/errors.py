"""Errors of the blueprint language.

BlueprintFailure                 everything below
├── BlueprintInvalid             the blueprint has mistakes: `errors` holds all of them
│   └── DeploymentInvalid        the blueprint is sound, the deployment's inputs or secrets are not
├── FunctionFailed               a function could not be evaluated while the deployment lives
└── ScalingRefused               a scale or an update cannot be planned as asked

`BlueprintError` itself is a value (one finding), not an exception: one pass finds many.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Optional

from outrider.dispatcher.blueprint.kinds import Kind


@dataclass(frozen=True)
class BlueprintError:
    """One mistake: what is wrong, where, by which rule, and what was probably meant.

    `line` and `column` count from 1; both are 0 when the mistake has no place in a file.
    """

    kind: Kind
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    #: The text of the line, without its end.
    source_line: str = ""
    #: How many characters to underline, from `column` on.
    width: int = 1
    #: The files that led to this one, the main file first.
    import_chain: tuple[str, ...] = ()
    #: The name that was probably meant.
    suggestion: Optional[str] = None

    @property
    def number(self) -> Optional[int]:
        """The number that the ecosystem's tools print for this kind."""
        return self.kind.number

    @property
    def rule(self) -> str:
        """The rule that was broken, in one sentence."""
        return self.kind.rule

    @property
    def underline(self) -> str:
        """Blanks and carets that, printed below `source_line`, mark the place."""
        return " " * (self.column - 1) + "^" * max(1, self.width) if self.column else ""

    def render(self) -> str:
        """Return the finding as text of a few lines, for people."""
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else (f"{self.file}: " if self.file else "")
        number = f" {self.number}" if self.number is not None else ""
        lines = [f"{place}error[{self.kind.label}{number}]: {self.message}"]
        if self.source_line:
            gutter = f"{self.line:>5} | "
            lines += [gutter + self.source_line, " " * (len(gutter) - 2) + "| " + self.underline]
        if self.suggestion:
            lines.append(f"      did you mean {self.suggestion!r}?")
        lines.append(f"      rule: {self.rule}")
        if len(self.import_chain) > 1:
            lines.append("      imported by: " + " → ".join(self.import_chain))
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object; keys are stable."""
        return {
            "kind": self.kind.label,
            "number": self.number,
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "source_line": self.source_line,
            "underline": self.underline,
            "import_chain": list(self.import_chain),
            "suggestion": self.suggestion,
            "rule": self.rule,
        }


class BlueprintFailure(Exception):
    """The root of all errors that this package raises."""


class BlueprintInvalid(BlueprintFailure):
    """The blueprint has mistakes; `errors` holds all that one pass found, in the order of the files."""

    def __init__(self, errors: Iterable[BlueprintError]) -> None:
        self.errors: tuple[BlueprintError, ...] = tuple(errors)
        super().__init__(self.render())

    def render(self) -> str:
        """Return all findings as text, with a last line that counts them."""
        count = len(self.errors)
        return "\n\n".join([*(e.render() for e in self.errors), f"{count} error{'s' if count != 1 else ''}"])

    def to_json(self) -> list[dict[str, Any]]:
        """Return all findings as JSON objects."""
        return [error.to_json() for error in self.errors]


class DeploymentInvalid(BlueprintInvalid):
    """A deployment cannot be made of a sound blueprint: its inputs, secrets or functions are wrong."""


class FunctionFailed(BlueprintFailure):
    """A function could not be evaluated; the text names the function, its place and what was missing."""


class ScalingRefused(BlueprintFailure):
    """A scale or an update cannot be planned as asked; the text names the node or group and the limit."""
