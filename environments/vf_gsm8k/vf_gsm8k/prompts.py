"""What is said to the model: how to answer, worked examples, the problem.

Prompts are short on purpose: every token of a prompt is computed again for each completion of a training
step, and on a CPU that is most of the time.
"""

from __future__ import annotations

from vf_gsm8k.problems import Problem
from vf_gsm8k.replies import Form

MOST_EXAMPLES = 4

_HOW = {
    "boxed": r"Solve the problem step by step. Put the final answer, a number without units, in \boxed{}.",
    "tagged": "Solve the problem step by step. Put the final answer, a number without units, between tags: "
    "<answer>number</answer>",
    "plain": "Answer with a number.",
    "equation": "Answer with an equation, as 1 + 2 = 3.",
}
_IN_WORDS = (
    Problem(
        "Nora buys 3 pens for $2 each and a notebook for $5. How much does she spend?",
        "11",
        "The pens cost 3 * $2 = $6.\nTogether with the notebook that is $6 + $5 = $11.",
    ),
    Problem(
        "A bus has 40 seats, and a quarter of them are free. How many passengers are seated?",
        "30",
        "Free are 40 / 4 = 10 seats.\nSo 40 - 10 = 30 passengers are seated.",
    ),
    Problem(
        "Tom reads 12 pages a day. How many days does a book of 300 pages take him?",
        "25",
        "It takes him 300 / 12 = 25 days.",
    ),
    Problem(
        "A field is 50 meters long and half as wide. How long is the fence around it, in meters?",
        "150",
        "It is 50 / 2 = 25 meters wide.\nThe fence is 2 * (50 + 25) = 150 meters long.",
    ),
)
_IN_SIGNS = (
    Problem("What is 2 + 6?", "8", "2 + 6 = 8"),
    Problem("What is 9 - 4?", "5", "9 - 4 = 5"),
    Problem("What is 7 + 5?", "12", "7 + 5 = 12"),
    Problem("What is 3 - 8?", "-5", "3 - 8 = -5"),
    Problem("What is 5 - 2?", "3", "5 - 2 = 3"),
)


def system(form: Form) -> str:
    """The system message. There always is one: some chat templates put in a long one of their own."""
    return _HOW[form]


def examples(problem: Problem, count: int, in_signs: bool) -> list[Problem]:
    """Worked examples to show before a problem; the problem itself is none of them."""
    known = _IN_SIGNS if in_signs else _IN_WORDS
    return [example for example in known if example.question != problem.question][:count]


def example_reply(problem: Problem, form: Form) -> str:
    """A reply as it should be: with its working, unless it is to be plain."""
    if form in ("plain", "equation"):
        return problem.answer if form == "plain" else problem.working
    answer = rf"\boxed{{{problem.answer}}}" if form == "boxed" else f"<answer>{problem.answer}</answer>"
    return f"{problem.working}\n{answer}" if problem.working else answer
