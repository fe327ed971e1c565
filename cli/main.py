"""The entry point of the `outrider` command.

It has to run on the agent's floor (Python 3.9, base dependencies only), where it can only say what is missing.
"""

from __future__ import annotations

import gc
import sys

MINIMUM = (3, 11)


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    if sys.version_info < MINIMUM:
        sys.exit(
            "outrider: the command needs Python 3.11 or newer (this is {}.{}); a host needs only "
            "`python -m outrider.agent`".format(*sys.version_info[:2])
        )
    # Loading modules makes nothing but what stays; `lazy` turns the collector on again before a command runs.
    gc.disable()
    try:
        from outrider.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("outrider"):
            raise
        sys.exit(f"outrider: {error.name} is missing; install the command with: pip install 'outrider[manager]'")
    run()


if __name__ == "__main__":
    main()
