"""The worker of an evaluation: its phases in order, against vLLM or an endpoint.

It evaluates the model itself, a checkpoint of it, or a model behind an endpoint, which needs no server and no
GPU.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from remote.contract import layout
from remote.contract.record import LaunchRequest
from remote.evaluation.resume import take_over
from remote.inference.command import ADAPTER, Fixed
from remote.inference.endpoint import Endpoint
from remote.output.emitter import Emitter
from remote.output.stdout_capture import take_output
from remote.workers.base import Worker

if TYPE_CHECKING:
    from remote.rollouts.player import Rollouts


def evaluator(request: LaunchRequest, emitter: Emitter) -> Evaluator:
    """The worker; from here on, what libraries print goes to its log, without an endpoint's key."""
    if request.spec.evaluation.endpoint is None:
        take_output(lambda line: emitter.say("train", line))
    else:
        endpoint = Endpoint.of(request.spec, request.model)
        take_output(lambda line: emitter.say("train", endpoint.censored(line)))
    return Evaluator(request, emitter)


class Evaluator(Worker):
    """One evaluation, from its request to its last event."""

    def _phases(self) -> None:
        self._begin("🚀 Starting Verifiers evaluation")
        if self.request.resume:
            take_over(self.request, self.dir.path, self._say)
        if self.spec.evaluation.endpoint is None:
            self._on_server()
        else:
            self._on_endpoint(Endpoint.of(self.spec, self.request.model))

    def _on_server(self) -> None:
        with self.phase("prepare"):
            environment, model = self._prepare()
            model, fixed = self._checkpoint(model)
        server = self._start_server(model, fixed)
        imported = self._pool.submit(import_module, "remote.evaluation.episodes")
        environment.result()
        imported.result()
        rollouts = self._rollouts(server)
        if fixed.adapter:
            rollouts.model = ADAPTER
        server.wait_ready()
        with self._server_watched(server):
            self._evaluate(rollouts)

    def _checkpoint(self, model: Path) -> tuple[Path, Fixed]:
        """The folder that the server loads: the model's, or one for the request's checkpoint."""
        if not self.request.checkpoint:
            return model, Fixed()
        from remote.evaluation.checkpoint_model import served
        from remote.inference.server import image_device

        self._say(f"evaluating the checkpoint {self.request.checkpoint}")
        return served(
            self.request.checkpoint,
            self.request.model,
            model,
            spec=self.spec,
            device=image_device(),
            stack=self._stack,
            say=self._say,
        )

    def _on_endpoint(self, endpoint: Endpoint) -> None:
        from remote.environments import resolve

        with self.phase("prepare"):
            place = resolve.place(self.request)
            self.emit.banner(f"📦 Installing verifiers... ({place.name})")
            installed = self._pool.submit(self._install, place)
            self.emit.banner(f"🌐 Asking {endpoint.api} for {endpoint.served_name}")
            endpoint.check(self._say)
            installed.result()
        self._sample_system(lambda: 0)
        self._evaluate(self._rollouts(endpoint), endpoint)

    def _evaluate(self, rollouts: Rollouts, endpoint: Endpoint | None = None) -> None:
        from remote.evaluation.episodes import evaluate

        self.emit.banner("🏃 Starting the evaluation...")
        with self.phase("evaluate"):
            values = evaluate(self.spec, rollouts, self.recorder, self.request.run_id, endpoint)
        with self.phase("save"):
            self.dir.write_json(layout.EVALUATION_SUMMARY, values)
