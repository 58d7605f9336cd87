"""Plain data that both sides agree on. Imports nothing else of this project and nothing heavy."""
