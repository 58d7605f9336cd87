"""A tool environment as it was written for verifiers before 0.4."""

import verifiers as vf
from datasets import Dataset

PEOPLE = {"Ulm": 129_000, "Graz": 303_000, "Cork": 224_000, "Pisa": 89_000, "Lund": 94_000}
SYSTEM = "Look the city up, then answer with the number alone."


def inhabitants(city: str) -> str:
    """How many people live in a city.

    Args:
        city: Its name in English.
    """
    return str(PEOPLE.get(city, "unknown city"))


def load_environment(max_turns: int = 4) -> vf.Environment:
    questions = [
        {"question": f"How many people live in {city}?", "answer": str(n)} for city, n in PEOPLE.items()
    ]
    dataset = Dataset.from_list(questions)

    def correct(completion, answer, **kwargs) -> float:
        return 1.0 if answer in completion[-1]["content"] else 0.0

    def looked_up(completion, **kwargs) -> float:
        return 1.0 if any(message["role"] == "tool" for message in completion) else 0.0

    rubric = vf.Rubric(funcs=[correct, looked_up], weights=[1.0, 0.2])
    return vf.ToolEnv(
        dataset=dataset, system_prompt=SYSTEM, tools=[inhabitants], rubric=rubric, max_turns=max_turns
    )
