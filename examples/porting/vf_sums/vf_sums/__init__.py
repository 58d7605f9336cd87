"""The same single-turn environment for verifiers 0.4."""

import re

import verifiers.v1 as vf

SYSTEM = "Answer with the sum in <answer> tags."


class SumsConfig(vf.TasksetConfig):
    count: int = 100
    """How many tasks."""


class SumsData(vf.TaskData):
    answer: str


class SumsTask(vf.Task[SumsData]):
    @vf.reward(weight=1.0)
    async def correct(self, trace: vf.Trace) -> float:
        """1 for the right sum."""
        return float(_answer(trace) == self.data.answer)

    @vf.reward(weight=0.2)
    async def tagged(self, trace: vf.Trace) -> float:
        """1 where an answer stands in tags."""
        return float(_answer(trace) is not None)


class SumsTaskset(vf.Taskset[SumsTask, SumsConfig]):
    def load(self) -> list[SumsTask]:
        """One task a sum."""
        pairs = [(n * 7 % 50, n * 13 % 50) for n in range(self.config.count)]
        return [SumsTask(self._data(a, b)) for a, b in pairs]

    def _data(self, a: int, b: int) -> SumsData:
        question = f"{a} + {b} = ?"
        return SumsData(name=f"{a}+{b}", system_prompt=SYSTEM, prompt=question, answer=str(a + b))


def _answer(trace: vf.Trace) -> str | None:
    found = re.search(r"<answer>\s*(.*?)\s*</answer>", trace.last_reply or "", re.DOTALL)
    return found[1] if found else None


__all__ = ["SumsTaskset"]
