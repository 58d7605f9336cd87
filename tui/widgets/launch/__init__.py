"""The launch form and its plan."""
