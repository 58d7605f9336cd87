"""The worker of an evaluation: its phases in order, against a server of ours or somebody else's.

Owns what is evaluated: the model itself, a checkpoint of it, or a model behind an endpoint, which needs no
server and no GPU. How a run begins and ends is `worker`'s; playing the episodes is `evaluate`'s.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from remote.contract import layout
from remote.contract.record import LaunchRequest
from remote.evaluation.resume import take_over
from remote.inference.command import ADAPTER, Fixed
from remote.inference.endpoint import Endpoint
from remote.output.emitter import Emitter
from remote.output.stdout_capture import take_output
from remote.workers.base import Worker


def evaluator(request: LaunchRequest, emitter: Emitter) -> Evaluator:
    """The worker, and what libraries print as lines of its log: without an endpoint's key, which verifiers
    repeats where the service does."""
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
            model, fixed = self._what(Path(model))
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

    def _what(self, model: Path) -> tuple[str, Fixed]:
        """What the server is started with: the model, or a checkpoint of it."""
        if not self.request.checkpoint:
            return str(model), Fixed()
        from remote.evaluation.checkpoint_model import served
        from remote.inference.server import image_device

        self._say(f"evaluating the checkpoint {self.request.checkpoint}")
        how = (self.spec, image_device(), self._stack, self._say)
        return served(self.request.checkpoint, self.request.model, model, *how)

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

    def _evaluate(self, rollouts: Any, endpoint: Endpoint | None = None) -> None:
        from remote.evaluation.episodes import evaluate

        self.emit.banner("🏃 Starting the evaluation...")
        with self.phase("evaluate"):
            values = evaluate(self.spec, rollouts, self.recorder, self.request.run_id, endpoint)
        with self.phase("save"):
            self.dir.write_json(layout.EVALUATION_SUMMARY, values)
