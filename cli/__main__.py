"""`python -m outrider.cli` is the `outrider` command."""

from outrider.cli.main import main

main()
