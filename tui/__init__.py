"""The near side of vfm-tui: what runs on the user's machine."""
