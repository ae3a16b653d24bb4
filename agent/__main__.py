"""`python -m agent` is `plantroom`."""

from agent.cli import main

main()
