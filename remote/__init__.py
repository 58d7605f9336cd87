"""The far side of vfm-tui: what runs where the GPU (or the CPU that stands in for it) is."""
