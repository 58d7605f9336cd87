"""The language of the filter line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.store.runs.filter import ALIASES, FIELDS, before_field, parse_filter
from tui.store.runs.row import RunRow

NOW = 1_000_000.0
ROWS = [
    RunRow(
        "k3f9x-wordle",
        status="running",
        environment="vf_wordle",
        model="Qwen/Qwen2.5-7B",
        experiment="First Try",
        experimenter="ann",
        backend="modal",
        step=10,
        total_steps=32,
        reward=0.75,
        cost=1.5,
        created=NOW - 3600,
        started=NOW - 3000,
        eta=600.0,
        config_path="configs/wordle.yaml",
    ),
    RunRow(
        "a1b2c-bfcl",
        status="failed",
        environment="vf_bfcl",
        model="builtin/tiny-random",
        kind="evaluate",
        experimenter="bob",
        failure="CUDA out of memory",
        created=NOW - 3 * 86400,
        reward=0.25,
    ),
    RunRow("zzzzz-wordle", status="done", environment="vf_wordle", created=NOW - 60, step=32, total_steps=32),
]


def found(text: str) -> list[str]:
    """First letters of the runs that are meant."""
    return [row.run_id[0] for row in parse_filter(text).apply(ROWS, NOW)]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", "kaz"),
        ("wordle", "kz"),
        ("WORDLE 7b", "k"),
        ("cuda", "a"),
        ("status:failed", "a"),
        ("status:fail", "a"),
        ("status:failed,done", "az"),
        ("status=done", "z"),
        ("status=don", ""),
        ("status!=done", "ka"),
        ("-status:done", "ka"),
        ("!status:done", "ka"),
        ("-wordle", "a"),
        ("env:wordle", "kz"),
        ("environment:vf-wordle", "kz"),
        ("exp:'first try'", "k"),
        ('"first try"', "k"),
        ('exp:"first t', "k"),
        ("user:ann", "k"),
        ("experimenter:bob", "a"),
        ("kind:eval", "a"),
        ("backend:modal", "k"),
        ("id:zzz", "z"),
        ("config:wordle.yaml", "k"),
        ("reward>0.5", "k"),
        ("reward<=0.25", "a"),
        ("-reward>0.5", "az"),
        ("reward:none", "z"),
        ("reward!=none", "ka"),
        ("step>=10", "kz"),
        ("step=10", "k"),
        ("step:32", "z"),
        ("progress>50%", "z"),
        ("cost<2", "k"),
        ("cost<$2", "k"),
        ("age<2h", "kz"),
        ("age>1d", "a"),
        ("age>30m age<2h", "k"),
        ("eta<15m", "k"),
        ("took>45m", "k"),
        ("wordle status:running reward>0.5 age<1.5h", "k"),
        ("status:", "kaz"),
        ("reward>", "kaz"),
        ("-", "kaz"),
    ],
)
def test_what_words_mean(text: str, meant: str) -> None:
    assert "".join(found(text)) == meant
    assert parse_filter(text).complaints == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stauts:failed", "did you mean status?"),
        ("stat:failed", "did you mean status?"),
        ("xqzw:1", "fields are status"),
        ("reward>high", "high is not a number"),
        ("age<2", "a time such as 90s"),
        ("age<2parsecs", "a time such as 90s"),
        ("model>7b", "model is text"),
    ],
)
def test_nonsense_is_told_of_and_the_rest_works(text: str, said: str) -> None:
    both = parse_filter(f"{text} status:failed")
    assert len(both.complaints) == 1
    assert said in both.complaints[0]
    assert [row.run_id[0] for row in both.apply(ROWS, NOW)] == ["a"]


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("sta", ""),
        ("wordle -stat", "wordle"),
        ("wordle ", None),
        ("status:", None),
        ("wordle", None),
        ("", None),
    ],
)
def test_a_word_that_may_become_a_field(text: str, before: str | None) -> None:
    assert before_field(text) == before


def test_quotes_make_any_text_a_bare_word() -> None:
    assert found('"stauts:failed"') == []
    assert parse_filter('"stauts:failed"').complaints == ()


words = st.text(max_size=30) | st.lists(
    st.tuples(
        st.sampled_from(["", "-", "!"]),
        st.sampled_from([*FIELDS, *ALIASES, "nosuch", ""]),
        st.sampled_from([":", "=", "!=", "<", ">", "<=", ">=", ""]),
        st.sampled_from(["1", "0.5", "2h", "none", "failed,done", '"a b', "'", "nan", "1e999", "ſ", "\x00"]),
    ).map("".join),
    max_size=4,
).map(" ".join)


@given(words, words)
def test_no_text_raises_and_terms_are_anded(first: str, second: str) -> None:
    one = parse_filter(first)
    few = one.apply(ROWS, NOW)
    assert few == [row for row in ROWS if one.matches(row, NOW)]
    if not set("\"'") & set(first + second):
        both = parse_filter(f"{first} {second}").apply(ROWS, NOW)
        assert both == [row for row in few if parse_filter(second).matches(row, NOW)]
