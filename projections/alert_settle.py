"""The columns of the lines that follow from more than their own events: policy, merges, calendar, alerts elsewhere.

Pure, and a function of the rows alone: it gives the same columns however the events were cut into batches. A line of a
relation that is in no merge, under no policy, is settled only when its own facts change, or its relation's tier or end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from events.recorded import ORGANISATION, instant
from projections.alert_check import settle_line
from projections.alert_line import POLICY, RELATION_ENDED, open_of, united_bucket
from projections.alert_relation import end_of
from projections.alert_terms import Tiers, blank_line, by_its_own, terms_of, terms_of_old, tier_since
from projections.institution import ALL, Institution, Run
from projections.kin import Kin
from projections.rows import Group, Need, One, Row, Rows
from projections.working_calendar import WorkingCalendar

INSTITUTION: Final = "institution"


@dataclass(frozen=True, slots=True)
class Around:
    """What is the same for all relations of a batch: the institution's rules, the merges, who lodged with whom."""

    institution: Institution
    kin: Kin
    merged_at: Mapping[str, int]
    hosts: Mapping[str, Sequence[str]]
    everything: bool

    @classmethod
    def of(cls, rows: Rows, calendar: WorkingCalendar) -> Around:
        alias = rows.group("alias", ALL)
        merged_at = {row["member"]: row["position"] for row in rows.group("kinship", ALL)}
        hosts: dict[str, list[str]] = {}
        for row in rows.group("lodging", ALL):
            hosts.setdefault(row["guest"], []).append(row["host"])
        return cls(
            Institution.of(rows.group("institution", ALL), calendar),
            Kin({r["absorbed"]: r["survivor"] for r in alias if r["root"] is not None}),
            merged_at, hosts, rows.get("pending", ALL, INSTITUTION) is not None,
        )  # fmt: skip


def settle_needs(relation: str) -> Iterable[Need]:
    """What settling reads for each relation of a batch."""
    yield from (Group(table, ALL) for table in ("alias", "institution", "kinship", "lodging", "pending"))
    yield from (Group("line", relation), Group("bucket", relation))


def spread(rows: Rows, touched: Collection[str]) -> Iterator[Iterable[Need]]:
    """What it reads beside that: all relations after a change of policy or calendar, and everybody who is one by merges
    or has alerts under another."""
    if rows.get("pending", ALL, INSTITUTION) is not None:
        yield [Group("roster", ALL)]
    reached = reach(rows, touched)
    if len(reached) > len(touched) or any(r not in touched for r in reached):
        yield [One("relation", (r,)) for r in reached]
        yield [Group(table, r) for r in reached for table in ("line", "bucket")]
    hosts = {row["host"] for row in rows.group("lodging", ALL) if row["guest"] in set(reached)}
    yield [Group("foreign_alert", host) for host in hosts]


def reach(rows: Rows, touched: Collection[str]) -> list[str]:
    """The relations whose lines can follow from what happened to those touched, sorted."""
    found = {relation for relation in touched if relation != ORGANISATION}
    if rows.get("pending", ALL, INSTITUTION) is not None:
        # Not those alone: of a member of a merge that is parked, or still to come, there is no row yet.
        found.update(row["relation"] for row in rows.group("roster", ALL))
    alias, lodging = rows.group("alias", ALL), rows.group("lodging", ALL)
    if alias:
        found.update(row["absorbed"] for row in alias if row["survivor"] in found)
    if lodging:
        found.update([row["guest"] for row in lodging if row["host"] in found])
    if alias:
        kin = Kin({r["absorbed"]: r["survivor"] for r in alias if r["root"] is not None})
        found.update([member for relation in found for member in kin.members(relation)])
    return sorted(found)


def settle(rows: Rows, relations: Iterable[str], *, calendar: WorkingCalendar, lead_working_days: int) -> None:
    """Recomputes when to look again at the lines that changed, or that may."""
    around = Around.of(rows, calendar)
    reached = reach(rows, set(relations))
    for relation in reached:
        known, root = rows.get("relation", relation), around.kin.root(relation)
        if known is not None and known["root"] != root:
            rows.put("relation", {**known, "root": root})
    for relation in reached:
        if rows.get("relation", relation) is not None:
            _Settling(rows, relation, around, lead_working_days).run()
    if around.everything:
        rows.delete("pending", ALL, INSTITUTION)


class _Settling:
    """One relation's lines."""

    def __init__(self, rows: Rows, relation: str, around: Around, lead_working_days: int) -> None:
        self._rows, self._relation, self._around, self._lead = rows, relation, around, lead_working_days
        self._members = around.kin.members(relation)
        self._root = self._members[0]
        self._row: Row = rows.get("relation", relation) or {}
        head = rows.get("relation", self._root) or self._row
        self._tiers: Tiers = head["tiers"]
        self._end = end_of(head)
        self._heads = (self._row, head)
        self._tier: str | None = self._tiers[-1][1] if self._tiers else None
        self._runs = around.institution.runs(self._tier) if relation == self._root else ()
        self._family = len(self._members) > 1

    def run(self) -> None:
        lines = self._rows.group("line", self._relation)
        hosts = self._around.hosts.get(self._relation, ())
        policies = any(line["line"].startswith(POLICY) for line in lines)
        merged = any(member in self._around.merged_at for member in self._members)
        by_itself = not (merged or self._runs or policies or hosts)
        own: list[Row] = []
        if not by_itself:
            own = [
                by_its_own(line) for member in self._members for line in self._rows.group("line", member)
                if line["our_layer"] is not None and not line["line"].startswith(POLICY)
            ]  # fmt: skip
        for line in list(lines):
            if line["line"].startswith(POLICY):
                continue
            moved = line["tier"] != self._tier or line["root"] != self._root or self._around.everything
            if by_itself and not (line["stale"] or moved or self._ends_otherwise(line)):
                continue
            row = by_its_own(line)
            self._settle({**row, "conflict": self._conflicts(row, own)}, own)
        if not by_itself:
            self._settle_policies(own)

    def _settle(self, row: Row, own: Sequence[Row], run: Run | None = None) -> None:
        row.update(stale=False, root=self._root, tier=self._tier)
        row.update(self._stopped(row))
        row["hosted"] = self._hosted(row["line"])
        opened = open_of(row)
        row["target"] = self._root if opened is None else opened["relation"]
        buckets: list[Row | None] = []
        if row["pair"] is not None:
            buckets = [self._rows.get("bucket", member, row["pair"]) for member in self._members]
        self._caused(row, own, [b for b in buckets if b is not None], run)
        settle_line(row, united_bucket(buckets), self._around.institution, self._lead)
        known = self._rows.get("line", self._relation, row["line"])
        if known != row:
            self._rows.put("line", row)

    def _stopped(self, row: Row) -> dict[str, Any]:
        """When the line ends, and by what: its relation's end is the survivor's (docs/decisions/0020)."""
        positions = {name: at for name, at in row["positions"].items() if name != RELATION_ENDED}
        end, ended_on = self._end, row["ended_on"]
        if end is None or (ended_on is not None and ended_on <= end.on):
            return {"ended_on": ended_on, "positions": positions}
        return {"ended_on": end.on, "positions": {**positions, RELATION_ENDED: end.position}}

    def _ends_otherwise(self, line: Row) -> bool:
        """Whether the row of a line does not say yet by what it ends."""
        if self._end is None and RELATION_ENDED not in line["positions"]:
            return False
        after = self._stopped(by_its_own(line))
        return after["positions"] != line["positions"] or after["ended_on"] != line["ended_on"]

    def _caused(self, row: Row, own: Sequence[Row], buckets: Sequence[Row], run: Run | None) -> None:
        """What the line's due days follow from last, and when the book learned of that."""
        positions = [row["own_position"], *(head["withdrawn_position"] for head in self._heads)]
        instants: list[datetime | None] = [row["own_at"], *(head["withdrawn_at"] for head in self._heads)]
        if self._end is not None and RELATION_ENDED in row["positions"]:
            positions.append(self._end.position)
            instants.append(self._end.recorded_at)
        positions += [self._around.merged_at.get(member, 0) for member in self._members]
        if self._family or run is not None:
            same = [line for line in own if line["pair"] == row["pair"]]
            positions += [b["cause_position"] for b in buckets] + [line["own_position"] for line in same]
            instants += [b["cause_at"] for b in buckets] + [line["own_at"] for line in same]
        if run is not None:
            positions += [run.position, *(t[2] for t in self._tiers)]
            instants += [run.recorded_at, *(instant(t[3]) for t in self._tiers)]
        row["cause_position"] = max(positions)
        row["cause_at"] = max(at for at in instants if at is not None)
        hosted: str | None = None if row["hosted"] is None else row["hosted"]["seen_at"]
        seen = [row["cause_at"], row["own_seen_at"], *([] if hosted is None else [instant(hosted)])]
        row["seen_at"] = max(seen)

    def _hosted(self, line: str) -> dict[str, Any] | None:
        """The alerts about this line that were raised under relations that had absorbed its own."""
        hosts = self._around.hosts.get(self._relation, ())
        hosted = [row for host in hosts for row in self._rows.group("foreign_alert", host)]
        found = [row for row in hosted if row["guest"] == self._relation and row["line"] == line]
        if not found:
            return None
        overdue = [row["last_overdue_on"] for row in found if row["last_overdue_on"] is not None]
        return {
            "open": next((row["open"] for row in found if row["open"] is not None), None),
            "alerts": {f"{row['relation']}:{due}": known for row in found for due, known in row["alerts"].items()},
            "last_overdue_on": str(max(overdue)) if overdue else None,
            "seen_at": max(row["seen_at"] for row in found).isoformat(),
        }

    def _conflicts(self, line: Row, own: Sequence[Row]) -> bool:
        """Whether another member, before this one in their order, has a line for the same layers that has no end."""
        if not self._family or line["our_layer"] is None or line["ended_on"] is not None:
            return False
        first = next((o["relation"] for o in own if o["pair"] == line["pair"] and o["ended_on"] is None), None)
        return first is not None and first != self._relation

    def _settle_policies(self, own: Sequence[Row]) -> None:
        """Puts in the lines that the policies of the tier ask for, and takes out those that nobody asks for any more.

        One that an alert was ever raised for stays, ended, so that the alert can be resolved and shown.
        """
        asked: dict[str, Run] = {run.line: run for run in self._runs}
        since = tier_since(self._tiers)
        had = {tier for _, tier, *_ in (*self._row["tiers"], *self._tiers)}
        kept = {row["line"]: row for row in self._rows.group("line", self._relation) if row["line"].startswith(POLICY)}
        for line in sorted({*asked, *kept}):
            run, known = asked.get(line), kept.get(line)
            if run is None:
                if known is not None and not known["alerts"]:
                    self._rows.delete("line", self._relation, line)
                elif known is not None:
                    self._settle({**known, **terms_of_old(self._around.institution.run(line, had))}, own)
                continue
            of_their_own = [o for o in own if (o["our_layer"], o["their_layer"]) == run.terms[:2]]
            ends = [o["ended_on"] for o in of_their_own]
            starts_on = max([run.starts_on, since, *(end for end in ends if end is not None)])
            stands = all(end is not None for end in ends) and (run.ended_on is None or starts_on < run.ended_on)
            asks = stands and (self._end is None or starts_on < self._end.on)
            if not asks and (known is None or not known["alerts"]):
                if known is not None:
                    self._rows.delete("line", self._relation, line)
                continue
            row = known or blank_line(self._relation, line)
            self._settle({**row, **terms_of(run, starts_on, run.ended_on if stands else starts_on)}, own, run)
