"""State of a run, and its row in the table."""
