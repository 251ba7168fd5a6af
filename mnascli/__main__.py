"""`python -m mnascli`, and so `torchrun -m mnascli train ...`."""

from mnascli.cli.main import main

main()
