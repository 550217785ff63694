"""What a benchmark says: flat names with numbers, goals beside them, one table at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

STDERR: Final = Console(stderr=True)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@dataclass(frozen=True, slots=True)
class Goal:
    """`least`: at least; else at most. `binding`: a ratio of the same run, which the machine does not excuse."""

    value: float
    least: bool
    binding: bool = False

    def met(self, measured: float) -> bool:
        return measured >= self.value if self.least else measured <= self.value


@dataclass(slots=True)
class Results:
    """Collects numbers in the order in which they were told."""

    numbers: dict[str, float] = field(default_factory=dict[str, float])
    goals: dict[str, Goal] = field(default_factory=dict[str, Goal])
    told: Callable[[str], None] = STDERR.print

    def tell(self, name: str, value: float, *, least: float | None = None, most: float | None = None,
             binding: bool = False) -> None:  # fmt: skip
        self.numbers[name] = round(value, 3 if abs(value) < 100 else 1)
        if least is not None:
            self.goals[name] = Goal(least, least=True, binding=binding)
        elif most is not None:
            self.goals[name] = Goal(most, least=False, binding=binding)
        self.told(f"  {name} = {value:,.2f}")

    @property
    def missed(self) -> list[str]:
        return [name for name, goal in self.goals.items() if not goal.met(self.numbers[name])]

    def table(self) -> Table:
        table = Table(title=f"Relatieboek on {os.cpu_count()} cores")
        for column, side in (("name", "left"), ("measured", "right"), ("goal", "right"), ("", "left")):
            table.add_column(column, justify="right" if side == "right" else "left")
        for name, value in self.numbers.items():
            goal = self.goals.get(name)
            wanted, verdict = "", ""
            if goal is not None:
                wanted = f"{'≥' if goal.least else '≤'} {goal.value:,.6g}" + ("  binding" if goal.binding else "")
                verdict = "[green]ok[/]" if goal.met(value) else "[red]missed[/]"
            table.add_row(name, f"{value:,.2f}" if value < 1_000 else f"{value:,.0f}", wanted, verdict)
        return table

    def write(self, path: Path) -> None:
        """A flat object of numbers. What an earlier run of other parts measured stays."""
        path.parent.mkdir(parents=True, exist_ok=True)
        before: dict[str, float] = {}
        if path.exists():
            before = json.loads(path.read_text())
        path.write_text(json.dumps({**before, **self.numbers}, indent=1) + "\n")
