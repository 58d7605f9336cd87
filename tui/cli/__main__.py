"""`python -m tui.cli`: `vfm` where its script is not on the path."""

from tui.cli import main

main()
