"""A multi-turn environment as it was written for verifiers before 0.4."""

import re

import verifiers as vf
from datasets import Dataset

SYSTEM = "Guess my number from 1 to 100. Reply with the number alone."


class HigherEnv(vf.MultiTurnEnv):
    async def is_completed(self, messages, state, **kwargs) -> bool:
        return state.get("found", False) or state["turn"] >= self.max_turns

    async def env_response(self, messages, state, **kwargs):
        guess = _number(messages[-1]["content"])
        number = int(state["answer"])
        state["found"] = guess == number
        if guess is None:
            said = "That is no number."
        else:
            said = "Found!" if guess == number else "Higher." if guess < number else "Lower."
        return [{"role": "user", "content": said}], state


def load_environment(count: int = 100, max_turns: int = 8) -> vf.Environment:
    numbers = [1 + n * 37 % 100 for n in range(count)]
    dataset = Dataset.from_list([{"question": "Which number?", "answer": str(n)} for n in numbers])

    def found(state, **kwargs) -> float:
        return 1.0 if state.get("found") else 0.0

    def quick(state, **kwargs) -> float:
        return 1.0 / state["turn"] if state.get("found") else 0.0

    rubric = vf.Rubric(funcs=[found, quick], weights=[1.0, 0.5])
    return HigherEnv(dataset=dataset, system_prompt=SYSTEM, rubric=rubric, max_turns=max_turns)


def _number(text: str) -> int | None:
    found = re.search(r"\d+", text)
    return int(found[0]) if found else None
