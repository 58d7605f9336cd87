"""Runs on Modal: records, status, logs, billing."""
