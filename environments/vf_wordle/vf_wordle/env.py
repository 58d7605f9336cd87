"""How an episode goes: the player replies, the game answers, the reward parts are recorded.

Owns the conversation loop. Marks are `rules`', words said to the player `prompts`', worth `scoring`'s.
"""

from __future__ import annotations

import verifiers.v1 as vf

from vf_wordle import prompts, scoring, words
from vf_wordle.replies import THOUGHT_ENDS
from vf_wordle.rules import Game
from vf_wordle.taskset import VfWordleConfig, WordleTask


class VfWordleEnvConfig(vf.EnvConfig):
    """The one seat. A game of words runs no code, so it needs no sandbox and no tools."""

    agent: vf.AgentConfig = vf.AgentConfig(harness={"id": "null"}, runtime={"type": "subprocess"})


class VfWordleEnv(vf.Env[VfWordleEnvConfig]):
    """Wordle over several turns, with one agent."""

    async def run(self, task: WordleTask, agents: vf.Agents) -> None:
        """Play until the word is found, the turns are used up, or the agent's own limits end it."""
        config: VfWordleConfig = self.taskset.config
        game = Game(
            task.data.answer,
            config.turns,
            config.reply,
            words.guesses(config.word_length),
            hard_mode=config.hard_mode,
            thinking=config.thinking,
        )
        async with agents.agent.interaction(task) as interaction:
            segment = await interaction.turn()
            while not segment.terminated:
                turn = game.play(_said(segment, config.thinking))
                if game.over:
                    break
                segment = await interaction.turn(prompts.answer_to(turn, game))
            if not interaction.trace.errors:  # an episode that broke off has no worth, not even 0
                self._record(interaction.trace, game)

    def _record(self, trace: vf.Trace, game: Game) -> None:
        config: VfWordleConfig = self.taskset.config
        weights = scoring.check_weights(config.weights)
        for name, value in scoring.score(game, config.first_letter_hint).items():
            trace.record_reward(name, value, weights[name])
        trace.record_metrics(scoring.metrics(game))


def _said(segment: vf.Segment, thinking: bool) -> str:
    # Some servers hand the thought out apart: the reply is then what follows it.
    if thinking and any(getattr(message, "reasoning_content", None) for message in segment.messages):
        return f"{THOUGHT_ENDS}{segment.last_reply}"
    return str(segment.last_reply)
