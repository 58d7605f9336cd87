"""Files and transfers."""
