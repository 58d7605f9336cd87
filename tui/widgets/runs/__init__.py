"""Runs: table, status, timeline, comparison."""
