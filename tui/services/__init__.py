"""Used by the app and the command line: run list, live run, transfers, resuming."""
