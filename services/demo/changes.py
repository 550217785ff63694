"""What changes around relations in a year: details, a merge undone, a relation that ends, teams, meetings, lines."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from services.demo.institution import employee
from services.demo.registers import Relation, mergers, relations
from services.demo.story import Story
from services.demo.structure import Account

_ZORGVERKOOP: Final = "zorgverkoop"
_HELPING: Final = "ketenzorg"


def tell_changes(story: Story, accounts: list[Account]) -> None:
    """At least one of each kind; who left is the colleague of `affairs`."""
    strategic = [a for a in accounts if a.tier == "A"]
    everyone = relations()
    _regions(story, everyone)
    _second_number(story, strategic[0].relation)
    _merged_too_soon(story, everyone)
    _end(story, everyone, accounts)
    _team_that_helped(story, strategic[0])
    _hand_over(story, strategic[-1])
    _stood_up(story, strategic[5])
    _resume(story, strategic[4])


def _tell(story: Story, event: str, relation: Relation | None, ago: int, **data: Any) -> None:
    on = story.workday(ago)
    story.tell(_ZORGVERKOOP, f"{event}.v1", relation, {**data, "occurred_on": on.isoformat()}, on)


def _regions(story: Story, everyone: list[Relation]) -> None:
    """New municipalities stand in no region of the table of 2020: they have that of one that went on in them."""
    told: set[str] = set()
    for merger in mergers():
        new = next(r for r in everyone if r.key == merger.survivor)
        on = merger.on + timedelta(days=14)
        if new.region is not None or new.key in told or merger.absorbed.region is None or on >= story.today:
            continue
        told.add(new.key)
        story.tell(_ZORGVERKOOP, "relation.details_changed.v1", new, {
            "region": merger.absorbed.region, "occurred_on": on.isoformat(),
        }, on)  # fmt: skip


def _second_number(story: Story, relation: Relation) -> None:
    """The number that the relation has in the new CRM."""
    _tell(story, "relation.identifier_linked", relation, 75, scheme="local", value=f"crm-{relation.key}")


def _merged_too_soon(story: Story, everyone: list[Relation]) -> None:
    """Two hospitals under one name in public, with a contract each: merged, and apart again."""
    survivor, absorbed = (
        next(r for r in everyone if r.name == name) for name in ("Academisch Medisch Centrum", "VU Medisch Centrum")
    )
    pair = {"survivor": survivor.subject, "absorbed": absorbed.subject}
    _tell(story, "relation.merged", survivor, 64, **pair, reason="Heten samen Amsterdam UMC")
    _tell(story, "relation.unmerged", survivor, 58, **pair, reason="Nog twee contracten, elk met een eigen gesprek")


def _end(story: Story, everyone: list[Relation], accounts: list[Account]) -> None:
    """A partner to which nobody refers any more, of those that no team looks after."""
    looked_after = {a.relation.key for a in accounts}
    gone = [r for r in everyone if r.kind == "care_partner" and r.key not in looked_after][-1]
    _tell(story, "relation.ended", gone, 48, reason="Verwijst niet meer naar ons; laatste afspraak is afgerond")


def _team_that_helped(story: Story, account: Account) -> None:
    """A second team shared a relation for as long as a project took."""
    _tell(story, "team.relation_assigned", account.relation, 290, team=_HELPING)
    _tell(story, "team.relation_unassigned", account.relation, 110, team=_HELPING)


def _hand_over(story: Story, account: Account) -> None:
    """Who leaves is out of the team, and hands over the lines of one relation; the book finds owners for the others."""
    leaver, heir = employee(account.team, "professional"), employee(account.team, "tactical_management")
    _tell(story, "team.member_left", None, 20, team=account.team.team, employee=leaver)
    for line in account.lines:
        if line.owner == leaver:
            _tell(story, "schedule.line_reassigned", account.relation, 22, line=line.line, owner=heir)


def _stood_up(story: Story, account: Account) -> None:
    """A meeting to which nobody came."""
    starts = story.moment(story.workday(11))
    side = {"layer": "tactical_management"}
    logged = starts - timedelta(days=14)
    story.tell(_ZORGVERKOOP, "contact.planned.v1", account.relation, {
        "contact": "zo-wacht-1", "starts_at": starts.isoformat(),
        "ends_at": (starts + timedelta(hours=1)).isoformat(), "channel": "meeting",
        "ours": [{"employee": employee(account.team, "tactical_management"), **side}],
        "theirs": [{"person": account.persons["tactical_management"], **side}],
    }, logged)  # fmt: skip
    noticed = starts + timedelta(minutes=30)
    story.tell(_ZORGVERKOOP, "contact.no_show.v1", account.relation, {
        "contact": "zo-wacht-1", "reason": "Niemand aanwezig; zat in een spoedoverleg",
        "occurred_at": noticed.isoformat(),
    }, noticed)  # fmt: skip


def _resume(story: Story, account: Account) -> None:
    """A line lay still, and was taken up sooner than was thought."""
    line = account.lines[0].line
    _tell(story, "schedule.line_paused", account.relation, 130, line=line, until=story.day(60).isoformat(),
          reason="Nieuwe bestuurder werkt zich in")  # fmt: skip
    _tell(story, "schedule.line_resumed", account.relation, 95, line=line)
