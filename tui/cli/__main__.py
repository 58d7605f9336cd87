"""`python -m tui.cli`: the same as `vfm`, where its script is not on the path."""

from tui.cli import main

main()
