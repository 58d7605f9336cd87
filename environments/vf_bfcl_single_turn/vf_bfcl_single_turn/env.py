"""How an episode goes: the functions are offered, the model replies once, the task judges the reply.

Owns how functions reach the model as native tools, whatever harness asks it.
"""

from __future__ import annotations

from dataclasses import replace

import verifiers.v1 as vf

from vf_bfcl_single_turn.tasks import BfclTask


class VfBfclSingleTurnEnvConfig(vf.EnvConfig):
    """The one seat. Functions are never run, so it needs no sandbox and no tool server."""

    agent: vf.AgentConfig = vf.AgentConfig(harness={"id": "null"}, runtime={"type": "subprocess"})


class VfBfclSingleTurnEnv(vf.Env[VfBfclSingleTurnEnvConfig]):
    """One question, one reply."""

    async def run(self, task: BfclTask, agents: vf.Agents) -> None:
        """Play the task with its tools in the request."""
        agent = agents.agent
        if task.data.tools:
            # Harnesses offer only tools that a server runs. Sampling parameters are laid over each request
            # that leaves for the model, and an episode's agent is its own.
            sampling = agent.ctx.sampling.model_copy(update={"tools": task.data.tools})
            agent.ctx = replace(agent.ctx, sampling=sampling)
        await agent.run(task)
