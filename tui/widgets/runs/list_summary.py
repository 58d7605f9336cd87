"""The lines around the table of runs: counts by status, problems, details of a run. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from textual.content import Content

from tui.planning.price_text import estimated
from tui.services.run_list import RunList
from tui.store.runs.row import RunRow
from tui.text.format import STATUS_SIGNS, duration, moment, plain, status_text

_STYLES = {"running": "$primary", "pending": "$warning", "failed": "$error", "done": "$success"}
_ORDER = ("running", "pending", "failed", "cancelled", "done")


def summary(rows: Sequence[RunRow], shown: int, marked: int, notes: Iterable[str], width: int) -> Content:
    """Counts by status at the left; pending backends, marks and the number of runs at the right."""
    counts = Counter(row.status for row in rows)
    statuses = [(status, count) for status in _ORDER if (count := counts.pop(status, 0))]
    statuses += sorted(counts.items())
    left = _counts(statuses, short=False)
    right = Content("  ").join(_right(len(rows), shown, marked, notes))
    if left.cell_length + right.cell_length + 2 > width:
        left = _counts(statuses, short=True)
    gap = max(1, width - left.cell_length - right.cell_length)
    return left + Content(" " * gap) + right


def _counts(statuses: Sequence[tuple[str, int]], *, short: bool) -> Content:
    parts = [
        Content.styled(
            f"{STATUS_SIGNS.get(status, '?')} {count}" + ("" if short else f" {plain(status)}"),
            _STYLES.get(status, "$text-muted"),
        )
        for status, count in statuses
    ]
    return Content("  " if short else "   ").join(parts)


def _right(total: int, shown: int, marked: int, notes: Iterable[str]) -> list[Content]:
    parts = [Content.styled(note, "$text-muted") for note in notes]
    if marked:
        parts.append(Content.styled(f"◆ {marked} marked", "bold $accent"))
    if shown != total:
        parts.append(Content.styled(f"{shown:,} of {total:,}", "bold $accent"))
    elif total:
        parts.append(Content.styled(f"{total:,} run{'s' * (total != 1)}", "$text-muted"))
    return parts


def pending(runs: RunList | None) -> Iterator[str]:
    """Which backends have not answered yet."""
    if runs is None or (not runs.backends and not runs.error):
        yield "connecting …"
    elif names := [backend.name for backend in runs.backends if not backend.settled]:
        yield f"asking {', '.join(names)} …"


def problems(complaints: Iterable[str], runs: RunList | None, width: int) -> Iterator[Content]:
    """Problems of the filter and of backends: a line each, and another one for a long advice."""
    for text in complaints:
        yield Content.styled(f"filter: {plain(text)}", "$warning")
    if runs is None:
        return
    if (error := runs.error) is not None:
        yield from _problem("vfm", error.message, error.hint.text if error.hint else "", width)
    for backend in runs.backends:
        if backend.settled and backend.message:
            yield from _problem(backend.name, backend.message, backend.advice, width)
        if backend.notices:
            yield from _notices(backend.name, backend.notices, width)


def _notices(name: str, notices: Sequence[str], width: int) -> Iterator[Content]:
    """The first notice and their number; where not all of it is visible, the command that prints it."""
    many = f"{len(notices):,} notices, the first: " if len(notices) > 1 else ""
    lines = list(_problem(name, f"{many}{notices[0]}", "", width))
    if many or lines[0].cell_length > width:
        lines = list(_problem(name, f"{many}{notices[0]}", "`vfm runs` prints all of it", width))
    yield from lines


def _problem(name: str, message: str, advice: str, width: int) -> Iterator[Content]:
    text = Content.assemble((f"! {name}", "bold $warning"), (f"  {_line(message)}", "$warning"))
    advice_text = Content.styled(f" · {_line(advice)}" if advice else "", "$text-muted")
    if text.cell_length + advice_text.cell_length <= width:
        yield text + advice_text
    else:
        yield text
        if advice:
            yield Content.assemble((" → ", "bold $accent"), (_line(advice), "$text-muted"))


def detail(row: RunRow | None, now: float, *, lines: int) -> Content:
    """Details of a run on up to `lines` lines; its failure comes first."""
    if row is None:
        return Content("")
    parts = [*_why(row, together=lines == 1), _what(row), _when(row, now), _where(row)]
    return Content("\n").join(parts[:lines])


def _why(row: RunRow, *, together: bool) -> list[Content]:
    if not row.failure:
        return []
    failure = Content.styled(f"✗ {_line(row.failure)}", "bold $error")
    hint = Content.styled(f"→ {_line(row.hint)}", "$accent") if row.hint else None
    if hint is not None and row.fix_key:
        hint = hint + Content.styled("  (p opens the form with this change)", "$text-muted")
    if hint is None:
        return [failure]
    return [failure + Content("  ") + hint] if together else [failure, hint]


def _what(row: RunRow) -> Content:
    known = [("", row.run_id, "bold"), ("", row.model, ""), ("on ", row.environment, "")]
    known += [("from ", row.config_path or "", ""), ("by ", row.experimenter, "")]
    parts = [
        Content.assemble((label, "$text-muted"), (plain(text), style)) for label, text, style in known if text
    ]
    return Content.styled("  ·  ", "$text-disabled").join(parts)


def _when(row: RunRow, now: float) -> Content:
    took = row.seconds(now)
    parts = [status_text(row.status), f"created {moment(row.created)}"]
    if took is not None:
        parts.append(f"{'running for' if row.live else 'took'} {duration(took)}")
    if row.live and row.eta is not None:
        parts.append(f"about {duration(row.eta)} left")
    if row.live and row.phase:
        parts.append(f"now {plain(row.phase)}")
    if row.attempt:
        parts.append(plain(row.attempt))
    if row.cost is not None:
        parts.append(estimated(row.cost))
    return Content.styled("  ·  ".join(parts), "$text-muted")


def _where(row: RunRow) -> Content:
    parts = [f"{row.kind} on {row.backend}", row.experiment, f"{row.outputs}:runs/{row.run_id}"]
    return Content.styled("  ·  ".join(map(plain, parts)), "$text-muted")


def _line(text: str) -> str:
    return plain(" ".join(text.split()))
