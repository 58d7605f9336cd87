"""Find and load a model: built in, in a folder, or from the hub."""
