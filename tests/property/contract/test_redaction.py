"""No spelling of a secret is left in a text, and nothing else is taken out of it."""

from __future__ import annotations

import base64
import json
import string
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from remote.contract.redaction import Redactor, is_secret, named_secret, without_passwords

TOKENS = st.text(string.ascii_letters + string.digits + "+/=_-", min_size=12, max_size=60).filter(
    lambda text: any(map(str.isdigit, text)) and len(set(text)) > 8
)
VALUES = TOKENS | st.text(min_size=12, max_size=80).map(str.strip).filter(lambda text: len(set(text)) > 8)
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda value: value,
    "JSON": json.dumps,
    "JSON, unescaped": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON in JSON": lambda value: json.dumps(json.dumps(value)),
    "Python": repr,
    "bytes": lambda value: repr(value.encode(errors="replace")),
    "an address": lambda value: f"https://x/?q={urllib.parse.quote(value, safe='', errors='replace')}&b",
    "a form": lambda value: urllib.parse.urlencode({"q": value}, errors="replace"),
    "base64": lambda value: base64.b64encode(value.encode(errors="replace")).decode(),
    "a basic header": lambda value: base64.b64encode(b"me:" + value.encode(errors="replace")).decode(),
    "base64 of addresses": lambda value: base64.urlsafe_b64encode(value.encode(errors="replace")).decode(),
    "hexadecimal": lambda value: value.encode(errors="replace").hex(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(value=VALUES, before=st.text(max_size=40), after=st.text(max_size=40))
def test_no_spelling_is_left(spelling: str, value: str, before: str, after: str) -> None:
    spelt = SPELLINGS[spelling](value)
    clean = Redactor({"MY_KEY": value}).text(f"{before} {spelt} {after}")
    assert "[redacted: MY_KEY]" in clean
    inner = spelt.strip("\"'=")
    assert inner[4:-4] not in clean


@given(value=VALUES, before=st.binary(max_size=4), url=st.booleans())
@example(value="a line of a secret\n1", before=b"", url=False)
def test_nothing_of_what_base64_ends_in_is_left(value: str, before: bytes, url: bool) -> None:
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    spelt = encode(before + value.encode(errors="replace")).decode()
    assert Redactor({"MY_KEY": value}).text(f"sent {spelt} to it").endswith("[redacted: MY_KEY] to it")


@given(value=TOKENS, cut=st.integers(0, 60), line=st.text(max_size=30))
def test_a_value_that_is_cut_in_two_gives_neither_half_away(value: str, cut: int, line: str) -> None:
    cut = min(cut, len(value))
    redactor = Redactor({"MY_KEY": value})
    for half in (value[:cut], value[cut:]):
        if len(half) >= max(10, len(value) / 2):
            assert half not in redactor.text(f"{line} {half}")


@given(st.lists(TOKENS, min_size=3, max_size=8))
def test_every_line_of_a_value_counts(lines: list[str]) -> None:
    clean = Redactor({"PEM": "\n".join(lines)}).text(" and ".join(lines))
    assert not any(line in clean for line in lines)


@given(TOKENS, st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_plain_data_keeps_its_shape(value: str, data: object) -> None:
    redactor = Redactor({"MY_KEY": value})
    assert redactor.data({"known": data, value: [value]}) == redactor.data(
        {"known": data, "[redacted: MY_KEY]": ["[redacted: MY_KEY]"]}
    )


def test_text_without_a_secret_is_left_as_it_is() -> None:
    redactor = Redactor(
        {
            "DATABASE_URL": "postgres://bob:correct-horse@db.example.com:5432/wordle",
            "MY_PASSWORD": "wordle-experiment-password",
            "MODAL_TOKEN_ID": "ak-tests",
        }
    )
    for line in (
        "verifiers-outputs-ann-tests",
        "connecting to postgres://db.example.com:5432/wordle",
        "the wordle experiment of db.example.com is at step 12 of 200",
        "a password was asked for",
    ):
        assert redactor.text(line) == line


def test_the_password_of_an_address_is_a_secret_by_itself() -> None:
    redactor = Redactor({"DATABASE_URL": "postgres://bob:p%40ss-horse@db.example.com/wordle"})
    for line in ("auth failed for bob with p@ss-horse", "PGPASSWORD=p%40ss-horse psql"):
        assert "horse" not in redactor.text(line)


def test_an_address_shows_no_password_that_nobody_named() -> None:
    assert (
        without_passwords("https://ann:pa55@x/y and git+ssh://git@z") == "https://***@x/y and git+ssh://git@z"
    )
    assert without_passwords("https://tok3n@x/y, mail ann@x") == "https://***@x/y, mail ann@x"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_TOKEN", "hf_0123456789"),
        ("MY_SERVICE_KEY", "hunter2"),
        ("DB_PASSWORD", "correct horse"),
        ("dbPassword", "letmein!"),
        ("DATABASE_URL", "postgres://bob:secret@host/db"),
        ("HTTPS_PROXY", "http://bob:secret@proxy:3128"),
        ("SOMETHING", "canary-0123-4567"),
        ("OTHER", "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"),
    ],
)
def test_what_is_a_secret(name: str, value: str) -> None:
    assert is_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXPERIMENTER", "alexandra-the-great"),
        ("WANDB_PROJECT", "my-long-project"),
        ("WANDB_BASE_URL", "https://wandb.example.com"),
        ("VFM_HOME", "/data/vfm"),
        ("SOME_DATA", "/data/of/mine"),
        ("PYTHONPATH", "/a/b:/c/d"),
        ("USE_AUTH", "true"),
        ("BATCH", "1000000000"),
        ("AWS_REGION", "eu-central-1"),
        ("HF_TOKEN", ""),
        ("OPENAI_API_KEY", "unused-by-vllm"),
        ("GREETING", "hello"),
        ("PWD", "/work/of/mine"),
        ("OLDPWD", "/work/of/mine"),
    ],
)
def test_what_is_none(name: str, value: str) -> None:
    assert not is_secret(name, value)


def test_the_words_of_the_run_are_none() -> None:
    assert is_secret("TEAM", "alignment-team")
    assert not is_secret("TEAM", "alignment-team", ["verifiers-outputs-alignment-team-first"])


@pytest.mark.parametrize(
    "name", ["api_key", "apiKey", "openai-api-key", "task.db_password", "token", "SECRET"]
)
def test_names_of_secrets(name: str) -> None:
    assert named_secret(name)


@pytest.mark.parametrize(
    "name", ["max_tokens", "key_path", "tokenizer", "keyboard", "author", "passes", "model"]
)
def test_names_of_none(name: str) -> None:
    assert not named_secret(name)
