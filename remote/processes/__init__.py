"""Processes: guardian, signals, locks, ports, uv."""
