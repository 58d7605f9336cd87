"""Make the word lists of `vf_wordle/data` again from Debian's packages, or see that they are unchanged.

    python environments/vf_wordle/vendor_words.py [--check]

Needs `apt-get` with Debian 12's sources, and `dpkg-deb`; nothing is installed. `--check` writes nothing,
and fails where a file is not what the packages give.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

DATA = Path(__file__).parent / "vf_wordle" / "data"
VERSION = "2020.12.07-2"
SHA256 = {
    "small": "bfebd3ce5f04a62f5fbeb6707ea1160e37d645754145138343009209f0deadb6",
    "large": "5439a66538fada521d8de98a6f8f3ab17a70d60f18f67a738c8b403f2947e3c6",
}
LISTS = {"answers.txt": "small", "guesses.txt": "large"}
WORD = re.compile(r"[a-z]{4,7}")


def main(check: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="scowl-") as scratch:
        folders = {size: _unpacked(size, Path(scratch)) for size in SHA256}
        made = {name: _words(folders[size], size) for name, size in LISTS.items()}
        notice = folders["small"] / "usr" / "share" / "doc" / "wamerican-small" / "copyright"
        made["SCOWL-COPYRIGHT"] = notice.read_bytes()
    wrong = 0
    for name, content in made.items():
        target = DATA / name
        if not check:
            target.write_bytes(content)
        same = target.is_file() and target.read_bytes() == content
        wrong += not same
        print(f"{'same' if same else 'DIFFERS':8}{content.count(10):>7} lines  {name}")
    return 1 if wrong else 0


def _unpacked(size: str, scratch: Path) -> Path:
    package, folder = f"wamerican-{size}", scratch / size
    folder.mkdir()
    subprocess.run(["apt-get", "download", "--quiet", f"{package}={VERSION}"], cwd=folder, check=True)
    (archive,) = folder.glob("*.deb")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256[size]:
        raise SystemExit(f"{archive.name} is not what the words came from: its SHA-256 is {found}")
    subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], check=True)
    return folder


def _words(folder: Path, size: str) -> bytes:
    """The words that the game can use, in alphabetical order, one a line."""
    source = folder / "usr" / "share" / "dict" / f"american-english-{size}"
    lines = source.read_text(encoding="utf-8").splitlines()
    return "".join(f"{word}\n" for word in sorted(filter(WORD.fullmatch, lines))).encode("ascii")


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
