"""What can be done to runs from wherever they are shown: cancel, run again, resume, delete.

Owns asking first and saying afterwards. The doing is the client's; which runs are meant is up to the
screen that posted the request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from remote.contract import layout
from remote.contract.errors import VfmError
from tui.screens.app_base import Desk
from tui.screens.confirm_price import may_cost
from tui.screens.dialogs import Confirm, ConfirmStop
from tui.text.format import files_and_bytes, one_line, plain

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client
    from tui.planning.plan import Plan


class RunActions:
    """The actions of one app. Each tells its end in a toast; none raises."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def cancel(self, run_ids: Sequence[str]) -> None:
        """Ask, then ask the runs to stop. They save what they have."""
        live = [run for run in await self._records(run_ids) if not run.ended_already]
        if not live:
            self._say("nothing to cancel: already over")
            return
        what = [f"{run.run_id}  {run.environment}  {run.model}" for run in live]
        title = f"Stop {_runs(live)}? What is trained so far is saved."
        question = ConfirmStop(title, what)
        if await self._desk.push_screen_wait(question):
            done = "ended at once" if question.now else "asked to stop"
            await self._each(live, lambda client, run: client.cancel(run, now=question.now), done)

    async def delete(self, run_ids: Sequence[str]) -> list[str]:
        """Ask, naming what goes, then delete the runs' directories; returns the runs that are gone."""
        from tui.services.transfers import removal

        runs = await self._records(run_ids)
        if going := [run.run_id for run in runs if not run.ended_already]:
            self._say(f"still going, cancel first: {', '.join(going)}", "warning")
            return []
        client = await self._desk.connect()
        goes = [(run, await removal(client, run)) for run in runs]
        what = [f"{run.run_id}  {files_and_bytes(gone.count, gone.bytes)}" for run, gone in goes]
        title = f"Delete {_runs(runs)} with checkpoints, rollouts and logs?"
        sure = bool(runs) and await self._desk.push_screen_wait(Confirm(title, what, yes="Delete"))
        return await self._each(runs, _remove, "deleted") if sure else []

    async def rerun(self, run_ids: Sequence[str]) -> None:
        """Start the same runs once more; where that costs money, ask first."""
        from tui.services.rerun import plan_again

        plans: dict[str, Plan] = {}

        async def look(client: Client, run: RunRecord) -> None:
            plans[run.run_id] = await plan_again(client, self._desk.settings, run.run_id)

        async def again(client: Client, run: RunRecord) -> None:
            made = await client.launch(plans[run.run_id])
            self._say(f"{made.run_id} started: {run.run_id} once more")

        runs = await self._records(run_ids)
        await self._each(runs, look, "")
        if await may_cost(self._desk, list(plans.values())):
            await self._each([run for run in runs if run.run_id in plans], again, "")

    async def resume(self, run_ids: Sequence[str]) -> list[RunRecord]:
        """Have runs that are over go on where they are; where that costs money, ask first.

        Returns the records of those that do.
        """
        from tui.services.resume import plan_resume

        plans: dict[str, Plan] = {}
        resumed: list[RunRecord] = []

        async def look(client: Client, run: RunRecord) -> None:
            plans[run.run_id] = await plan_resume(client, self._desk.settings, run.run_id)

        async def go_on(client: Client, run: RunRecord) -> None:
            plan = plans[run.run_id]
            resumed.append(await client.resume(plan))
            self._say(f"{run.run_id} goes on: {'; '.join(plan.notices)}")

        runs = await self._records(run_ids)
        await self._each(runs, look, "")
        if await may_cost(self._desk, list(plans.values())):
            await self._each([run for run in runs if run.run_id in plans], go_on, "")
        return resumed

    async def _records(self, run_ids: Sequence[str]) -> list[RunRecord]:
        """The runs as they stand now; only the backends that have them are asked, since others may hang."""
        client = await self._desk.connect()
        holders = {row.backend for row in self._desk.rows if row.run_id in run_ids} or set(client.backends)
        found = [run for name in sorted(holders) for run in await client.runs_of(name)]
        known = {run.run_id: run for run in found}
        if missing := [run_id for run_id in run_ids if run_id not in known]:
            self._say(f"no longer there: {', '.join(missing)}", "warning")
        return [known[run_id] for run_id in run_ids if run_id in known]

    async def _each(
        self, runs: Sequence[RunRecord], do: Callable[[Client, RunRecord], Awaitable[None]], done: str
    ) -> list[str]:
        """Do it to each run, and return those it worked for; one that fails is told of."""
        client = await self._desk.connect()
        succeeded: list[str] = []
        for run in runs:
            try:
                await do(client, run)
                succeeded.append(run.run_id)
            except VfmError as error:
                self._say(f"{run.run_id}: {one_line(error)}", "error")
        if succeeded and done:
            self._say(f"{done}: {', '.join(succeeded)}")
        return succeeded

    def _say(self, text: str, severity: str = "information") -> None:
        self._desk.tell(plain(text.replace("\n", " · ")), severity)


async def _remove(client: Client, run: RunRecord) -> None:
    await client.remove(run.outputs, str(layout.run_path(run.run_id)), backend=run.backend)


def _runs(runs: Sequence[RunRecord]) -> str:
    return f"{runs[0].run_id}" if len(runs) == 1 else f"{len(runs)} runs"
