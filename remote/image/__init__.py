"""The training image: its pins, and how it is built on this machine."""
