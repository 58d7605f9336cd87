"""What `settings.toml` may name, against what it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.user.keymap import KnownBinding, KnownNames, list_names, mistakes
from tui.user.preferences import Preferences

WORDS = KnownNames(
    (
        KnownBinding("app.quit", "ctrl+q", "Quit", ("VfmApp",)),
        KnownBinding("log.follow", "f", "Follow", ("LogPane",)),
        KnownBinding("log.hits", "h", "Hits", ("LogPane",)),
        KnownBinding("log.times", "t", "Times", ("LogPane",)),
        KnownBinding("runs.follow", "f", "Follow", ("RunsScreen",)),
    ),
    ("vfm-dark",),
)


def told(folder: Path, text: str) -> list[str]:
    (folder / "settings.toml").write_text(text)
    return [str(mistake) for mistake in mistakes(Preferences.read(folder), WORDS)]


def test_a_key_of_two_things_of_one_place_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, '[keys]\n"log.hits" = "f,x"\n') == [
        "settings.toml:2: f is now both “Hits” (log.hits) and “Follow” (log.follow)"
        " · only one of them gets it"
    ]


def test_a_key_of_the_whole_app_is_no_longer_free(tmp_path: Path) -> None:
    assert "ctrl+q is now both “Hits” (log.hits) and “Quit” (app.quit)" in "".join(
        told(tmp_path, '[keys]\n"log.hits" = "ctrl+q"\n')
    )


def test_keys_that_change_places_or_work_elsewhere_are_fine(tmp_path: Path) -> None:
    assert told(tmp_path, '[keys]\n"log.hits" = "t"\n"log.times" = "h"\n"runs.follow" = "h"\n') == []


def test_two_wishes_for_one_key_are_told_once(tmp_path: Path) -> None:
    assert len(told(tmp_path, '[keys]\n"log.hits" = "x"\n"log.times" = "x"\n')) == 1


def test_unknown_names_are_told(tmp_path: Path) -> None:
    assert told(tmp_path, 'theme = "dark"\n[keys]\n"log.hit" = "x"\n') == [
        "settings.toml:3: there is no key binding 'log.hit' · did you mean log.hits?",
        "settings.toml:1: there is no theme 'dark' · did you mean vfm-dark?",
    ]


def test_the_app_says_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tui").mkdir()  # a folder of the user's own that is called as ours
    (tmp_path / "tui" / "__init__.py").write_text("raise RuntimeError('not this one')\n")
    monkeypatch.chdir(tmp_path)
    known = list_names()
    quit_app = next(binding for binding in known.bindings if binding.id == "app.quit")
    assert (quit_app.keys, quit_app.description, quit_app.places) == ("ctrl+q", "Quit", ("VfmApp",))
    assert {"vfm-dark", "vfm-light", "nord"} <= set(known.themes)
    back = next(binding for binding in known.bindings if binding.id == "screen.back")
    assert {"VfmScreen", "RunsScreen"} <= set(back.places)
