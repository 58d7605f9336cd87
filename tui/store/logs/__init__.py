"""A run's log: lines, events and search."""
