"""Settings that users write, and state that the app remembers."""
