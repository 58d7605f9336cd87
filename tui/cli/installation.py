"""Whether this installation can work: before anything of `remote` is imported, which may be somebody else's.

`tui` and `remote` are names that other distributions may use too. Whichever `remote` Python finds first is
imported, and a part of another program must not be run in place of ours.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def unusable() -> str:
    """Why this program cannot run here: another `remote`, or a platform or Python that it does not know."""
    if reason := _foreign_remote(Path(__file__).parents[1]):
        return reason
    from remote.contract.platforms import unsupported

    return unsupported()


def _foreign_remote(tui: Path) -> str:
    """Why the `remote` that Python finds is not ours, or an empty string."""
    spec = find_spec("remote")
    places = list(spec.submodule_search_locations or [spec.origin or "?"]) if spec else []
    if not places:
        return f"the package remote is missing beside {tui}: install vfm-tui again"
    found = Path(places[0])
    advice = "install vfm-tui in an environment of its own"
    if not _same(found, tui.with_name("remote")):
        return f"another package named remote, at {found}, hides that of vfm-tui, beside {tui}: {advice}"
    if "vfm-tui" not in _text(found / "__init__.py"):
        return f"another package named remote, at {found}, was installed over that of vfm-tui: {advice}"
    return ""


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
