"""Evaluations: episodes, scores, and the checkpoint that is scored."""
