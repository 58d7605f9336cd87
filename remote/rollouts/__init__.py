"""Play a step's episodes, and turn them into token rows."""
