"""One warning of `lint`, which rules in several modules make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from outrider.dispatcher.blueprint.located import Mark


@dataclass(frozen=True)
class LintWarning:
    """One warning; `rule` is a stable name."""

    rule: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0

    def render(self) -> str:
        """Return the warning as one line."""
        return f"{self.file}:{self.line}:{self.column}: warning[{self.rule}]: {self.message}"

    def to_json(self) -> dict[str, Any]:
        """Return the warning as a JSON object."""
        return {
            "rule": self.rule,
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "column": self.column,
        }


def warning_at(rule: str, message: str, at: Optional[Mark]) -> LintWarning:
    """Return a warning about a place."""
    if at is None:
        return LintWarning(rule, message)
    return LintWarning(rule, message, at.source.name, at.line, at.column)


def is_own(at: Optional[Mark]) -> bool:
    """Return whether a place is the author's own, not one of the built-in types or an imported blueprint's."""
    return at is None or not at.source.any_version
