"""Environments on the run's side: resolve a name, install a package, pin what a run uses."""
