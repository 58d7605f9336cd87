"""The part of vfm-tui that runs where the run runs: worker, trainer, server, supervisor, image."""

from pathlib import Path

CODE = Path(__file__).parent
"""This folder. Modules find files by it, not by their own place, which may change."""
PARENT = CODE.absolute().parent
"""The folder that holds `remote/`. A link to it is not followed: its target may have other neighbours."""
