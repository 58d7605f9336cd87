"""Preview of a file's content."""
