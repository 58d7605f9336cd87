"""Log files: lines, events, search."""
