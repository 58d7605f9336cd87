"""The same multi-turn environment for verifiers 0.4."""

import re

import verifiers.v1 as vf

SYSTEM = "Guess my number from 1 to 100. Reply with the number alone."


class HigherConfig(vf.TasksetConfig):
    count: int = 100
    """How many tasks."""
    turns: int = 8
    """Guesses in an episode."""


class HigherData(vf.TaskData):
    number: int


class HigherTask(vf.Task[HigherData]):
    """What is scored is known to the conversation, below."""


class HigherTaskset(vf.Taskset[HigherTask, HigherConfig]):
    def load(self) -> list[HigherTask]:
        """One task a number."""
        numbers = [1 + n * 37 % 100 for n in range(self.config.count)]
        return [HigherTask(self._data(number)) for number in numbers]

    def _data(self, number: int) -> HigherData:
        return HigherData(name=str(number), system_prompt=SYSTEM, prompt="Which number?", number=number)


class HigherEnvConfig(vf.EnvConfig):
    agent: vf.AgentConfig = vf.AgentConfig(harness={"id": "null"}, runtime={"type": "subprocess"})


class HigherEnv(vf.Env[HigherEnvConfig]):
    async def run(self, task: HigherTask, agents: vf.Agents) -> None:
        """Answer each guess until it is right or the turns are used up."""
        number, found = task.data.number, False
        async with agents.agent.interaction(task) as interaction:
            segment = await interaction.turn()
            for turn in range(1, self.taskset.config.turns + 1):
                if segment.terminated:  # the reply broke off, or training.max_turns is reached
                    break
                guess = _number(segment.last_reply or "")
                found = guess == number
                if found or turn == self.taskset.config.turns:
                    break
                segment = await interaction.turn(_answer_to(guess, number))
            if not interaction.trace.errors:  # an episode that broke off has no worth, not even 0
                interaction.trace.record_reward("found", float(found), 1.0)
                interaction.trace.record_reward("quick", found / turn, 0.5)


def _answer_to(guess: int | None, number: int) -> str:
    if guess is None:
        return "That is no number."
    return "Higher." if guess < number else "Lower."


def _number(text: str) -> int | None:
    found = re.search(r"\d+", text)
    return int(found[0]) if found else None


__all__ = ["HigherEnv", "HigherTaskset"]
