"""After a merge, lines for the same layers are in force at several of the relations that became one: a person decides.

One line stands meanwhile (docs/decisions/0008), the others show `conflict` and raise nothing, so somebody must end all
but one. Asked at once, for each pair of layers; settled when one relation is left with a line for it, or unmerged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

from projections.workflows.completeness import LINE_KEEPS
from projections.workflows.facts import Entry, Keep, Known
from projections.workflows.rule import Duty, Rule
from projections.workflows.thresholds import Terms

Pair = tuple[str, str]


def wanted(known: Known, terms: Terms) -> Iterator[Duty]:
    merges = _merges(known)
    if not merges:
        return
    for (ours, theirs), lines in sorted(_in_force(known).items()):
        if len(lines) < 2:
            continue
        joined = {relation: [*found, *_path(merges, relation)] for relation, found in lines.items()}
        begun = sorted(_since(lines[relation], _path(merges, relation)) for relation in lines)[1]
        evidence = sorted({e.position: e for found in joined.values() for e in found}.values(), key=_position)
        yield Duty(f"layers:{ours}:{theirs}", begun, begun, begun, tuple(evidence))


def _in_force(known: Known) -> dict[Pair, dict[str, list[Entry]]]:
    """The lines that have no end, by layers and by the relation that set them."""
    found: dict[Pair, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for fact in known.all("line"):
        line, ended = fact.get("set"), fact.get("ended")
        if line is None or (ended is not None and ended.stamp > line.stamp):
            continue
        found[line.data["our_layer"], line.data.get("their_layer", "")][fact.relation].append(line)
    return found


def _merges(known: Known) -> dict[str, tuple[str, Entry]]:
    """Of each relation that is absorbed now: by whom, and the fact that says so."""
    found: dict[str, tuple[str, Entry]] = {}
    for fact in known.all("merge"):
        merged, unmerged = fact.get("merged"), fact.get("unmerged")
        # Of one day's facts the book's last stands, as everywhere (`kin`): it takes merges one by one.
        if merged is not None and (unmerged is None or _order(unmerged) < _order(merged)):
            found[fact.id] = (fact.relation, merged)
    return found


def _path(merges: dict[str, tuple[str, Entry]], relation: str) -> list[Entry]:
    """The merges by which a relation became part of the survivor; none for the survivor itself."""
    found: list[Entry] = []
    while relation in merges and len(found) < len(merges):
        relation, entry = merges[relation]
        found.append(entry)
    return found


def _since(lines: Sequence[Entry], path: Sequence[Entry]) -> date:
    """The first day on which the book had a line of the relation as one of the survivor's: nobody could be asked
    before, and it is asked also when the merge itself lies longer ago."""
    first = min(_learned(line) for line in lines)
    return max([first, *(_learned(merge) for merge in path)])


def _learned(entry: Entry) -> date:
    return max(entry.on, entry.recorded_on)


def _order(entry: Entry) -> tuple[date, int]:
    return entry.on, entry.position


def _position(entry: Entry) -> int:
    return entry.position


RULE: Final = Rule(
    name="merged_lines_conflict",
    version=1,
    keeps=(
        *LINE_KEEPS,
        # `absorbed` as the book knows it: the UUID.
        Keep("relation.merged", "merge", "{absorbed}", "merged"),
        Keep("relation.unmerged", "merge", "{absorbed}", "unmerged"),
    ),
    wanted=wanted,
)
