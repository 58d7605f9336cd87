"""The parent process of a run: its attempts and its verdict."""
