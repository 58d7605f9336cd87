"""`settings.toml`: what it says, and what is said of its mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual.keys import KEY_NAME_REPLACEMENTS, KEY_TO_UNICODE_NAME

from tui.user.preferences import Mistake, Preferences, is_key, unknown


def read(folder: Path, text: str | bytes) -> Preferences:
    (folder / "settings.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return Preferences.read(folder)


def told(preferences: Preferences) -> list[str]:
    return [str(mistake) for mistake in preferences.mistakes]


def test_no_file_is_no_mistake(tmp_path: Path) -> None:
    preferences = Preferences.read(tmp_path)
    assert not preferences.exists
    assert preferences.path == tmp_path / "settings.toml"
    assert preferences.mistakes == ()


def test_everything_it_can_say(tmp_path: Path) -> None:
    preferences = read(
        tmp_path,
        'theme = "vfm-light"\ndownload_dir = "~/runs"\nplain_signs = true\n'
        '[keys]\n"runs.open" = "enter, o"\nruns.new = ["n", "ctrl+n"]\n',
    )
    assert told(preferences) == []
    assert preferences.theme == "vfm-light"
    assert preferences.download_dir == "~/runs"
    assert preferences.plain_signs
    assert preferences.keys == {"runs.open": "enter,o", "runs.new": "n,ctrl+n"}


def test_a_mistake_costs_its_own_line_alone(tmp_path: Path) -> None:
    preferences = read(
        tmp_path,
        'themes = "x"\ntheme = 5\nplain_signs = "yes"\ndownload_dir = "d"\n'
        '[keys]\n"runs.open" = "ctrl-o"\n"runs.new" = ""\n"runs.sort" = 3\n"runs.cancel" = "x"\n',
    )
    assert told(preferences) == [
        "settings.toml:1: there is no setting 'themes' · did you mean theme?",
        'settings.toml:2: theme is a number, not text · as in: theme = "…"',
        "settings.toml:3: plain_signs is text, not true or false",
        "settings.toml:6: there is no key 'ctrl-o' · did you mean ctrl+o?",
        "settings.toml:7: runs.new names no key: it keeps the one it has",
        'settings.toml:8: runs.sort is a number, not a key · as in: "runs.sort" = "ctrl+k,x"',
    ]
    assert preferences.download_dir == "d"
    assert preferences.keys == {"runs.cancel": "x"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('download_dir = "d"\ntheme = vfm-light\n', 2),
        ('theme = "a"\n\n[keys\n\n\n', 3),
        ('theme = "a"\r\ntheme = "b"\r\n', 2),
        ('theme = """a\n', 1),
        (b'theme = "a"\ndownload_dir = "\xff"\n', 2),
    ],
)
def test_of_a_damaged_file_nothing_is_taken(tmp_path: Path, text: str | bytes, line: int) -> None:
    """What is wrong is told once, with its line."""
    preferences = read(tmp_path, text)
    (mistake,) = preferences.mistakes
    assert mistake.where == f"settings.toml:{line}"
    assert mistake.message.endswith(": none of the file applies")
    assert (preferences.exists, preferences.theme, preferences.download_dir) == (True, None, None)


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").mkdir()
    assert "cannot be read" in told(Preferences.read(tmp_path))[0]


def test_names_that_the_app_lacks_are_told_with_the_nearest(tmp_path: Path) -> None:
    preferences = read(tmp_path, 'theme = "vfm-drak"\n[keys]\n"runs.opne" = "o"\nrun.x.follow = "f"\n')
    found = unknown(preferences, ["runs.open", "log.follow"], ["vfm-dark", "nord"])
    assert found == [
        Mistake("settings.toml:3", "there is no key binding 'runs.opne'", "did you mean runs.open?"),
        Mistake("settings.toml:4", "there is no key binding 'run.x.follow'", "did you mean log.follow?"),
        Mistake("settings.toml:1", "there is no theme 'vfm-drak'", "did you mean vfm-dark?"),
    ]
    assert unknown(preferences, ["runs.opne", "run.x.follow"], ["vfm-drak"]) == []


@pytest.mark.parametrize(
    "key", ["x", "N", "?", "ctrl+k", "ctrl+shift+f3", "pageup", "f12", "é", ":", "alt+ö"]
)
def test_keys_that_there_are(key: str) -> None:
    assert is_key(key)


@pytest.mark.parametrize(
    "key", ["ctrl-k", "Ctrl+K", "ctrl+", "pgup2", "F13", "^c", "foo", "ctrl+foo", "\x07"]
)
def test_keys_that_there_are_not(key: str) -> None:
    assert not is_key(key)


@pytest.mark.parametrize("key", sorted({*KEY_TO_UNICODE_NAME, *KEY_NAME_REPLACEMENTS.values()}))
def test_every_name_that_textual_has_is_a_key(key: str) -> None:
    assert is_key(key)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(
    text=st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from(
                [
                    "theme",
                    "keys",
                    "[keys]",
                    "[[keys]]",
                    '"a.b"',
                    "=",
                    '"x"',
                    "'",
                    '"""',
                    "[",
                    "{",
                    "\n",
                    "1979-05-27",
                ]
            )
        ).map(" ".join),
    )
)
def test_no_file_is_too_wild(tmp_path: Path, text: str | bytes) -> None:
    preferences = read(tmp_path, text)
    assert all(mistake.where.startswith("settings.toml") for mistake in preferences.mistakes)
