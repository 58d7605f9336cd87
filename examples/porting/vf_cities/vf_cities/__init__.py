"""The same tool environment for verifiers 0.4."""

import verifiers.v1 as vf

from vf_cities.tools import PEOPLE, CityTools

SYSTEM = "Look the city up, then answer with the number alone."


class CityTaskConfig(vf.TaskConfig):
    tools: vf.ToolsetConfig = vf.ToolsetConfig()


class CityData(vf.TaskData):
    answer: str


class CityTask(vf.Task[CityData, vf.State, CityTaskConfig]):
    @classmethod
    def toolsets(cls, config: CityTaskConfig) -> list[vf.Toolset]:
        """The tools that are served while the task is played."""
        return [CityTools(config.tools)]

    @vf.reward(weight=1.0)
    async def correct(self, trace: vf.Trace) -> float:
        """1 where the number is in the last reply."""
        return float(self.data.answer in (trace.last_reply or ""))

    @vf.reward(weight=0.2)
    async def looked_up(self, trace: vf.Trace) -> float:
        """1 where a tool was called."""
        return float(trace.num_turns > 1)


class CityConfig(vf.TasksetConfig):
    task: CityTaskConfig = CityTaskConfig()


class CityTaskset(vf.Taskset[CityTask, CityConfig]):
    def load(self) -> list[CityTask]:
        """One task a city."""
        return [CityTask(self._data(city), self.config.task) for city in PEOPLE]

    def _data(self, city: str) -> CityData:
        question = f"How many people live in {city}?"
        return CityData(name=city, system_prompt=SYSTEM, prompt=question, answer=str(PEOPLE[city]))


__all__ = ["CityTaskset"]
