"""How an episode goes: the problem, one reply, and the task judges it.

Owns which harness and runtime verifiers' own commands take for it.
"""

from __future__ import annotations

import verifiers.v1 as vf

from vf_gsm8k.taskset import Gsm8kTask


class VfGsm8kEnvConfig(vf.EnvConfig):
    """The one seat. A reply runs no code, so it needs no sandbox and no tools."""

    agent: vf.AgentConfig = vf.AgentConfig(harness={"id": "null"}, runtime={"type": "subprocess"})


class VfGsm8kEnv(vf.Env[VfGsm8kEnvConfig]):
    """One problem, one reply."""

    async def run(self, task: Gsm8kTask, agents: vf.Agents) -> None:
        """Play the task."""
        await agents.agent.run(task)
