"""The package's public face is complete, and importing it does not load what only builds need."""

from __future__ import annotations

import subprocess
import sys

from outrider.plugins import wagons


def test_every_public_name_is_there() -> None:
    assert [name for name in wagons.__all__ if getattr(wagons, name, None) is None] == []
    assert sorted(wagons.__all__) == sorted({*wagons._HOMES, "errors"})


def test_the_agents_part_does_not_load_the_builders() -> None:
    program = (
        "import sys; from outrider.plugins.wagons import EnvironmentStore, choose, probe;"
        "print([name for name in sys.modules if name.endswith(('.building', '.pip', '.packing'))])"
    )
    answer = subprocess.run([sys.executable, "-c", program], cwd="/", capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "[]"


def test_every_error_names_its_place_in_the_tree() -> None:
    tree = wagons.errors.__doc__ or ""
    names = [
        name for name, value in vars(wagons.errors).items() if isinstance(value, type) and issubclass(value, Exception)
    ]

    assert [name for name in names if name not in tree] == []
