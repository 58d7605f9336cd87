"""Which number a reply gives, without verifiers: every way to write it, and what must not be taken for it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]
sys.path.insert(0, str(PACKAGE))
numbers, problems, prompts, replies, scoring = (
    importlib.import_module(f"vf_gsm8k.{name}")
    for name in ("numbers", "problems", "prompts", "replies", "scoring")
)


def rows_of_the_readme() -> list[tuple[str, str]]:
    """What the README's table says is written, and what it is read as."""
    table = (PACKAGE / "README.md").read_text(encoding="utf-8").partition("| written | read as |")[2]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    found = []
    for written, meant in rows:
        groups = [[part.strip(" `,") for part in group.split("`, `")] for group in written.split("; ")]
        values = meant.split(":")[0].split(";") if ";" in written else [meant]
        for group, value in zip(groups, values, strict=True):
            each = value.split(", ") if meant.strip().startswith("24,") else [value] * len(group)
            found += [(text, one.strip()) for text, one in zip(group, each, strict=True)]
    return found


@pytest.mark.parametrize(("written", "meant"), rows_of_the_readme())
def test_the_readmes_table_is_what_happens(written: str, meant: str) -> None:
    value = meant.partition(",")[0].partition(":")[0].split()[0].replace("−", "-")
    assert numbers.read_number(written) == (None if value == "nothing" else Fraction(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1\u202f234", 1234),
        ("12\u00a0apples", 12),
        (r"\(12\)", 12),
        ("$$12$$", 12),
        (r"\$1{,}234", 1234),
        ("(12)", 12),
        ("$(-5)$", -5),
        ("-3/4 cups", Fraction(-3, 4)),
        ("1 3/4 cups", Fraction(7, 4)),
        ("12 = 13", 13),
        ("1E-2", Fraction(1, 100)),
        (r"12\,13", None),
        (r"\binom{1}{2}", None),
        ("1/2/3", None),
        ("5x1/2", None),
        ("12 or thirteen 13", None),
        ("12 = ", None),
        ("1 ½", None),
        ("--5", None),
        ("9" * 61, None),
        ("1e-99999999999", None),
        ("", None),
    ],
)
def test_numbers_in_odd_places(text: str, value: Fraction | None) -> None:
    assert numbers.read_number(text) == value


@pytest.mark.parametrize(
    ("form", "text", "number", "worth"),
    [
        ("boxed", r"So \boxed{18}.", 18, 1.0),
        ("boxed", r"\boxed{\text{18 dollars}}", 18, 0.5),
        ("boxed", r"First \boxed{3}, then \boxed{18}", 18, 0.5),
        ("boxed", r"18, as \boxed{18 or 19}", None, 0.25),
        ("boxed", r"\boxed{\frac{1}{2}} is half", Fraction(1, 2), 1.0),
        ("boxed", r"\boxed{18", None, 0.0),
        ("boxed", "18", None, 0.0),
        ("boxed", r"<think>\boxed{18}</think> I do not know", None, 0.0),
        ("boxed", r"<think>never ends \boxed{18}", None, 0.0),
        ("boxed", r"<think>17?</think>\boxed{18}", 18, 1.0),
        ("tagged", "2 * 9 = 18\n<answer>18</answer>", 18, 1.0),
        ("tagged", "<answer>17</answer> no: <ANSWER> $18.00 </ANSWER>", 18, 0.5),
        ("tagged", "<answer>17 <answer>18</answer>", 18, 1.0),
        ("tagged", "18 <answer>seventeen</answer>", None, 0.25),
        ("tagged", "<answer>18", None, 0.0),
        ("plain", " 18.\n", 18, 1.0),
        ("plain", "2 * 9 = 18", 18, 0.5),
        ("plain", "17, no, 18", None, 0.25),
        ("plain", "eighteen", None, 0.0),
        ("equation", "9 + 9 = 18", 18, 1.0),
        ("equation", "So 9 + 9 = 18 apples", 18, 0.5),
        ("equation", "9 + 9 = 17\n9 + 9 = 18", 18, 0.5),
        ("equation", "9 + 9 = 18 or 19", None, 0.25),
        ("equation", "18", None, 0.25),
        ("equation", "= 18", 18, 0.5),
    ],
)
def test_the_answer_counts_in_its_place_only(
    form: str, text: str, number: Fraction | None, worth: float
) -> None:
    assert replies.read_reply(text, form) == replies.Reply(number, worth)


def test_only_the_exact_number_is_correct() -> None:
    third = Fraction(1, 3)
    assert scoring.score("1/3", third, "plain") == {"correct": 1.0, "format": 1.0}
    assert scoring.score("0.3333333333333333", third, "plain")["correct"] == 0.0
    assert scoring.score("0.1", Fraction(1, 10), "plain")["correct"] == 1.0


@pytest.mark.parametrize(
    "weights", [{"format": 0.6}, {"correct": 0}, {"format": -1}, {"style": 1}, {"format": float("nan")}]
)
def test_weights_under_which_form_beats_the_answer_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"weight|reward part"):
        scoring.check_weights(weights)


@pytest.mark.parametrize(
    ("form", "in_signs"),
    [
        ("boxed", False),
        ("tagged", False),
        ("plain", False),
        ("boxed", True),
        ("plain", True),
        ("equation", True),
    ],
)
def test_worked_examples_are_replies_as_they_should_be(form: str, in_signs: bool) -> None:
    task = problems.Problem("What is 2 + 6?", "8")
    shown = prompts.examples(task, prompts.MOST_EXAMPLES, in_signs)
    assert len(shown) == prompts.MOST_EXAMPLES
    for example in shown:
        assert example.question != task.question
        reply = prompts.example_reply(example, form)
        assert scoring.score(reply, Fraction(example.answer), form) == {"correct": 1.0, "format": 1.0}


def test_a_source_that_brings_nothing_new_is_used_up() -> None:
    def endless() -> object:
        while True:
            yield problems.Problem("1 + 1 =", "2", kind="+1 +1")

    split = problems.side("+1 +1")
    assert [p.question for p in problems.choose(endless(), split, 10)] == ["1 + 1 ="]


def test_numbers_are_read_without_verifiers() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(PACKAGE)!r}); import vf_gsm8k.scoring; "
        "sys.exit('verifiers' in sys.modules or 'reasoning_gym' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
