"""Text for the app and the command line."""
