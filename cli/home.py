"""Where the command keeps its state: one folder, found without flags, the same in every terminal."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "OUTRIDER_HOME"


@dataclass(frozen=True)
class Home:
    """The folder and what lies in it."""

    path: Path

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the store."""
        return f"sqlite:///{self.path / 'outrider.db'}"

    @property
    def files(self) -> Path:
        """Wagons and blueprint resources by hash."""
        return self.path / "files"

    @property
    def secret_key(self) -> Path:
        """Key of the encrypted secrets; never inside the database."""
        return self.path / "secret.key"

    @property
    def agent(self) -> Path:
        """State of the agent that runs in the command's own process."""
        return self.path / "agent"

    @property
    def builds(self) -> Path:
        """Wagons built from source, by content."""
        return self.path / "builds"

    @property
    def bells(self) -> Path:
        """Where processes of this home wake each other; see `outrider.dispatcher.doorbell`."""
        return self.path / "bells"

    @property
    def configuration(self) -> Path:
        """Settings file; need not exist."""
        return self.path / "outrider.toml"

    def make(self) -> Home:
        """Create the folder, readable by its owner only; returns itself."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            # Loads what draws on terminals, which `--version` does without.
            from outrider.cli.output import fail

            fail(f"the folder for the state, {self.path}, cannot be made: {error.strerror}; name another in {VARIABLE}")
        return self


def find_home() -> Home:
    """Return ``$OUTRIDER_HOME``, or ``~/.outrider``."""
    named = os.environ.get(VARIABLE)
    return Home(Path(named).expanduser().resolve() if named else Path.home() / ".outrider")
