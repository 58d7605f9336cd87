"""Metric series, and the curves drawn from them."""
