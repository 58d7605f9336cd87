"""What both faces use while they run: run list, live run, transfers."""
