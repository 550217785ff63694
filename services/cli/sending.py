"""`send` and `import`: events to the book, with a bar that shows the rate and what became of them."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Annotated, Final

import msgspec
import typer
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from events.errors import SetupError
from services.cli.console import Bar, err
from services.cli.instance import find
from services.cli.options import Batch, DataDir, Department, NatsUrl, Verdicts
from services.dutch_problems import errors_in_dutch, title_in_dutch
from services.reasons import why
from services.send import Login, Tally, VerdictJson, connected
from services.send import send as send_events

NAMES: Final = {
    "accepted": "aanvaard", "duplicate": "dubbel", "parked": "geparkeerd", "rejected": "geweigerd", "busy": "druk",
}  # fmt: skip
_SHOWN_REJECTIONS: Final = 5

Update = Callable[[Counter[str], int | None], None]


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s".replace(",", ".") if speed else "")


def counts_text(counts: Counter[str]) -> str:
    """The verdict counts in Dutch, the non-zero ones."""
    return " · ".join(f"{n} {NAMES.get(v, v)}" for v, n in counts.items() if n) or "nog niets"


@contextmanager
def progress_bar(title: str, total: int | None = None) -> Generator[Update]:
    """A bar on stderr; yields a function that takes the verdict counts so far, and the total once it is known."""
    bar = Bar(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30), TextColumn("{task.completed}"),
        _Rate(),
        TextColumn("{task.fields[counts]}"), TimeElapsedColumn(), console=err(), transient=False,
    )  # fmt: skip
    with bar:
        task = bar.add_task(title, total=total, counts="")

        def update(counts: Counter[str], total: int | None) -> None:
            done = sum(counts.values())
            bar.update(task, completed=done, counts=counts_text(counts), total=total or bar.tasks[0].total)

        yield update


def send(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="Eén CloudEvent per regel; - is stdin.")],
    department: Department = None, url: NatsUrl = None, verdicts: Verdicts = None, batch: Batch = 500,
    data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Verstuur gebeurtenissen. Eindigt met 0 als er geen geweigerd is, met 1 als dat wel zo is."""
    login = find(data_dir).login(department, url)
    with ExitStack() as stack:
        if file == "-":
            lines: IO[bytes] = sys.stdin.buffer
        else:
            try:
                lines = stack.enter_context(Path(file).open("rb"))
            except OSError as error:
                raise SetupError(f"{file} is niet te lezen: {why(error)}.") from None
        tally = deliver(lines, login, verdicts, "Versturen", batch)
    if tally.counts["rejected"]:
        raise typer.Exit(1)


def deliver(lines: Iterable[bytes], login: Login, verdicts: Path | None, title: str, size: int = 500) -> Tally:
    """Sends with a bar; writes each verdict to `verdicts` in the order of the input; shows the first rejections."""
    shown = 0
    with ExitStack() as stack:
        out = stack.enter_context(verdicts.open("wb")) if verdicts is not None else None
        update = stack.enter_context(progress_bar(title))
        so_far: Counter[str] = Counter()

        def on_verdicts(batch: Sequence[VerdictJson]) -> None:
            nonlocal shown
            so_far.update(v["verdict"] for v in batch)
            update(so_far, None)
            for verdict in batch:
                if out is not None:
                    out.write(msgspec.json.encode(verdict) + b"\n")
                if verdict["verdict"] == "rejected" and shown < _SHOWN_REJECTIONS:
                    shown += 1
                    err().print(
                        Text(f"geweigerd {verdict.get('id') or '(zonder id)'}: {_why(verdict)}"), soft_wrap=True
                    )

        async def run() -> Tally:
            async with connected(login) as request:
                return await send_events(lines, request, on_verdicts, batch=size)

        return asyncio.run(run())


def _why(verdict: VerdictJson) -> str:
    problem = verdict.get("problem", {})
    return errors_in_dutch(problem, most=3) or title_in_dutch(problem) or "zonder reden"
