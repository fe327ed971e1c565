"""The file that a plugin's Python is started with: ``python boot.py runner FOLDER`` or ``… child JSON``.

Puts the folder with SDK, facade and runner, and nothing else of ours, first on the path. Run by path, so that it works
in an environment that knows nothing of Outrider.
"""

import sys
from pathlib import Path


def main() -> None:
    """Become a runner, or a child of one that runs its operation in a fresh interpreter."""
    root = str(Path(__file__).resolve().parents[3])
    # Python put this file's folder there: its modules must not shadow a plugin's.
    sys.path[0] = root
    kind, argument = sys.argv[1:3]
    if kind == "runner":
        from outrider.agent.runner.main import run

        run(Path(argument), Path(root))
    else:
        from outrider.agent.runner.spawned import run_child

        run_child(argument)


if __name__ == "__main__":
    main()
