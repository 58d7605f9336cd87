"""Texts that both faces print."""
