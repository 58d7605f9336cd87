"""Episode files, and the scores of tasks."""
