"""Actions on runs: cancel, run again, resume, delete. They ask first where they must, and notify."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from remote.contract import layout
from remote.contract.errors import VfmError
from tui.screens.app_base import AppBase
from tui.screens.confirm_price import confirm_price
from tui.screens.dialogs import Confirm, ConfirmStop
from tui.text.format import files_and_bytes, one_line, plain

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from remote.contract.record import RunRecord
    from tui.client import Client
    from tui.planning.plan import Plan
    from tui.settings import Settings


class RunActions:
    """The actions of one app. An error about one run becomes a notification, and the other runs are done."""

    def __init__(self, app: AppBase) -> None:
        self._app = app

    async def cancel(self, run_ids: Sequence[str]) -> None:
        """Stop runs, after asking. They save their state, unless the user wants them ended at once."""
        live = [run for run in await self._records(run_ids) if not run.ended_already]
        if not live:
            self._notify("nothing to cancel: already over")
            return
        lines = [f"{run.run_id}  {run.environment}  {run.model}" for run in live]
        question = ConfirmStop(f"Stop {_runs(live)}? What is trained so far is saved.", lines)
        if await self._app.push_screen_wait(question):
            done = "ended at once" if question.now else "asked to stop"
            await self._each(live, lambda client, run: client.cancel(run, now=question.now), done)

    async def delete(self, run_ids: Sequence[str]) -> list[str]:
        """Delete the runs' directories, after asking; returns the runs that were deleted."""
        from tui.services.transfers import removal

        runs = await self._records(run_ids)
        if live := [run.run_id for run in runs if not run.ended_already]:
            self._notify(f"still running, cancel first: {', '.join(live)}", "warning")
            return []
        client = await self._app.connect()
        removals = [(run, await removal(client, run)) for run in runs]
        lines = [f"{run.run_id}  {files_and_bytes(found.count, found.bytes)}" for run, found in removals]
        title = f"Delete {_runs(runs)} with checkpoints, rollouts and logs?"
        sure = bool(runs) and await self._app.push_screen_wait(Confirm(title, lines, yes="Delete"))
        return await self._each(runs, _remove, "deleted") if sure else []

    async def rerun(self, run_ids: Sequence[str]) -> None:
        """Launch the same runs again, after asking where that costs money."""
        from tui.services.rerun import plan_again

        async def launch(client: Client, run: RunRecord, plan: Plan) -> None:
            record = await client.launch(plan)
            self._notify(f"{record.run_id} started: {run.run_id} once more")

        await self._plan_and_do(run_ids, plan_again, launch)

    async def resume(self, run_ids: Sequence[str]) -> list[RunRecord]:
        """Resume runs that are over, after asking where that costs money; returns their new records."""
        from tui.services.resume import plan_resume

        resumed: list[RunRecord] = []

        async def resume(client: Client, run: RunRecord, plan: Plan) -> None:
            resumed.append(await client.resume(plan))
            self._notify(f"{run.run_id} goes on: {'; '.join(plan.notices)}")

        await self._plan_and_do(run_ids, plan_resume, resume)
        return resumed

    async def _plan_and_do(
        self,
        run_ids: Sequence[str],
        make_plan: Callable[[Client, Settings, str], Awaitable[Plan]],
        do: Callable[[Client, RunRecord, Plan], Awaitable[None]],
    ) -> None:
        """Plan every run, ask once about their prices, then do what was planned."""
        plans: dict[str, Plan] = {}

        async def plan(client: Client, run: RunRecord) -> None:
            plans[run.run_id] = await make_plan(client, self._app.settings, run.run_id)

        runs = await self._records(run_ids)
        await self._each(runs, plan)
        if await confirm_price(self._app, list(plans.values())):
            planned = [run for run in runs if run.run_id in plans]
            await self._each(planned, lambda client, run: do(client, run, plans[run.run_id]))

    async def _records(self, run_ids: Sequence[str]) -> list[RunRecord]:
        """The runs' records, read now; other backends than theirs are not asked, since they may hang."""
        client = await self._app.connect()
        backends = {row.backend for row in self._app.rows if row.run_id in run_ids} or set(client.backends)
        found = [run for name in sorted(backends) for run in await client.runs_of(name)]
        known = {run.run_id: run for run in found}
        if missing := [run_id for run_id in run_ids if run_id not in known]:
            self._notify(f"no longer there: {', '.join(missing)}", "warning")
        return [known[run_id] for run_id in run_ids if run_id in known]

    async def _each(
        self, runs: Sequence[RunRecord], do: Callable[[Client, RunRecord], Awaitable[None]], done: str = ""
    ) -> list[str]:
        """Do something to each run, notify that it is `done`; returns the ids of the runs where it was."""
        client = await self._app.connect()
        succeeded: list[str] = []
        for run in runs:
            try:
                await do(client, run)
                succeeded.append(run.run_id)
            except VfmError as error:
                self._notify(f"{run.run_id}: {one_line(error)}", "error")
        if succeeded and done:
            self._notify(f"{done}: {', '.join(succeeded)}")
        return succeeded

    def _notify(self, text: str, severity: SeverityLevel = "information") -> None:
        self._app.notify(plain(text.replace("\n", " · ")), severity=severity)


async def _remove(client: Client, run: RunRecord) -> None:
    await client.remove(run.outputs, str(layout.run_path(run.run_id)), backend=run.backend)


def _runs(runs: Sequence[RunRecord]) -> str:
    return f"{runs[0].run_id}" if len(runs) == 1 else f"{len(runs)} runs"
