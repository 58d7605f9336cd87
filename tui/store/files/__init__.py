"""Previews of files: bytes to lines or a table."""
