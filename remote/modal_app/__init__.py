"""The run's app on Modal: launcher, function, container."""
