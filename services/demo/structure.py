"""Registrations, tiers, counterparts, teams and contact schedules of the demo."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from services.demo.institution import FUNCTIONS, LAYERS, TEAMS, Team, employee, made_up_name, members
from services.demo.institution_wide import tell_people, tell_policies
from services.demo.mergers import known_since, tell_former
from services.demo.registers import Relation, relations
from services.demo.story import Story

ZORGVERKOOP: Final = "zorgverkoop"
STARTED_DAYS_AGO: Final = 400

_EVIDENCE: Final = (
    ("revenue_share", "{n} % van de omzet van vorig jaar"),
    ("strategic_fit", "trekt het regioplan waar wij {n} cliëntgroepen in bedienen"),
    ("growth", "vraag naar onze zorg groeit naar verwachting {n} % in drie jaar"),
)
_ROLES: Final = ("decides", "influences", "advises", "uses")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the schedule, with what the year's contacts are simulated from."""

    line: str
    layer: str
    owner: str
    every_days: int
    grace: int
    channels: tuple[str, ...] | None
    quota: bool
    neglected: bool
    their_person: str | None = None


@dataclass(slots=True)
class Account:
    """A relation that is looked after: its tier, team, people and lines."""

    relation: Relation
    tier: str
    team: Team
    persons: dict[str, str] = field(default_factory=dict[str, str])
    lines: list[Line] = field(default_factory=list[Line])


def tell_structure(story: Story) -> list[Account]:
    """Everything but the contacts. Returns the accounts in the order of their tiers."""
    everyone = relations()
    start = story.day(STARTED_DAYS_AGO)
    for team in TEAMS:
        story.tell(
            ZORGVERKOOP,
            "team.formed.v1",
            None,
            {"team": team.team, "name": team.name, "occurred_on": start.isoformat()},
            start,
        )
        for number, who in enumerate(members(team)):
            data: dict[str, Any] = {"team": team.team, "employee": who, "occurred_on": start.isoformat()}
            if number == 1:
                data["role"] = "lead"
            story.tell(ZORGVERKOOP, "team.member_joined.v1", None, data, start)
    for relation in everyone:
        on = known_since(relation) or start
        story.tell(ZORGVERKOOP, "relation.registered.v1", relation, relation.data | {"occurred_on": on.isoformat()}, on)
    tell_former(story)
    tell_policies(story, start)
    tell_people(story, start)
    accounts = _choose(story, everyone)
    for account in accounts:
        _tell_account(story, account)
    return accounts


def _choose(story: Story, everyone: list[Relation]) -> list[Account]:
    accounts: list[Account] = []
    for team in TEAMS:
        shared = [r for r in everyone if r.kind in team.kinds and (not team.regions or r.region in team.regions)]
        if team.team == "zorgverzekeraars":
            shared = [r for r in shared if r.kind == "health_insurer"]
        story.random.shuffle(shared)
        accounts += [Account(r, "A" if i < 4 else "B", team) for i, r in enumerate(shared[:18])]
    return sorted(accounts, key=lambda a: a.tier)


def _tell_account(story: Story, account: Account) -> None:
    random, relation = story.random, account.relation
    on = story.day(STARTED_DAYS_AGO - random.randrange(1, 20))
    day = on.isoformat()
    story.tell(ZORGVERKOOP, "team.relation_assigned.v1", relation, {"team": account.team.team, "occurred_on": day}, on)
    tier: dict[str, Any] = {
        "tier": account.tier,
        "review_on": (on + timedelta(days=540)).isoformat(),
        "occurred_on": day,
    }
    chosen = random.sample(_EVIDENCE, 2 if account.tier == "A" else 1)
    tier["arguments"] = [{"criterion": c, "evidence": e.format(n=random.randrange(4, 19))} for c, e in chosen]
    story.tell(ZORGVERKOOP, "relation.tier_assigned.v1", relation, tier, on)
    if account.tier == "A":
        owner = {"employee": employee(account.team, "senior_management"), "occurred_on": day}
        story.tell(ZORGVERKOOP, "relation.owner_assigned.v1", relation, owner, on)
    for layer in LAYERS if account.tier == "A" else LAYERS[2:]:
        person = f"p-{relation.key}-{LAYERS.index(layer) + 1}"
        account.persons[layer] = person
        story.tell(ZORGVERKOOP, "counterpart.added.v1", relation, {
            "person": person, "name": made_up_name(random), "function": FUNCTIONS[relation.kind][LAYERS.index(layer)],
            "layer": layer, "decision_role": _ROLES[LAYERS.index(layer)], "occurred_on": day,
        }, on)  # fmt: skip
    _tell_schedule(story, account)


def relation_leaves(account: Account) -> bool:
    """Whether the person named on its board line leaves: so of one municipality with tier A in the north."""
    return account.tier == "A" and account.team.team == "wmo-noordoost" and "board" in account.persons


def _tell_schedule(story: Story, account: Account) -> None:
    random = story.random
    shapes: list[tuple[str, dict[str, Any], int, tuple[str, ...] | None]]
    if account.tier == "A":
        shapes = [
            ("board", {"mode": "rolling", "every": "P6M"}, 182, ("meeting",)),
            ("senior_management", {"mode": "rolling", "every": "P3M"}, 91, ("meeting", "video")),
            ("tactical_management", {"mode": "rolling", "every": "P2M"}, 60, None),
            ("professional", {"mode": "quota", "times": 2, "per": "quarter"}, 45, None),
        ]
        if random.random() < 0.2:  # some A relations lack a board line: a gap to be found
            shapes = shapes[1:]
    else:
        shapes = [
            ("tactical_management", {"mode": "rolling", "every": random.choice(("P3M", "P4M"))}, 100, None),
            ("professional", {"mode": "quota", "times": 1, "per": random.choice(("quarter", "half_year"))}, 80, None),
        ]
    on = story.day(STARTED_DAYS_AGO - 25)
    # Of one relation the line on the board names a person; who leaves later: see `affairs`.
    named = account.persons["board"] if relation_leaves(account) else None
    for layer, cadence, every_days, channels in shapes:
        made = Line(
            line=f"l-{LAYERS.index(layer) + 1}", layer=layer, owner=employee(account.team, layer),
            every_days=every_days,
            grace=10 if layer == "board" else 5, channels=channels, quota=cadence["mode"] == "quota",
            neglected=random.random() < 0.22, their_person=named if layer == "board" else None,
        )  # fmt: skip
        account.lines.append(made)
        data: dict[str, Any] = {
            "line": made.line, "our_layer": layer, "their_layer": layer, "cadence": cadence,
            "starts_on": on.isoformat(), "grace_working_days": made.grace, "owner": made.owner,
            "occurred_on": on.isoformat(),
        }  # fmt: skip
        if channels is not None:
            data["channels"] = list(channels)
        if made.their_person is not None:
            data["their_person"] = made.their_person
        story.tell(ZORGVERKOOP, "schedule.line_set.v1", account.relation, data, on)
    last = account.lines[-1]
    roll = random.random()
    paused_on = story.day(45)
    if roll < 0.05:
        story.tell(ZORGVERKOOP, "schedule.line_paused.v1", account.relation, {
            "line": last.line, "until": story.day(-30).isoformat(),
            "reason": "Organisatie herindeelt; overleg ligt stil",
            "occurred_on": paused_on.isoformat(),
        }, paused_on)  # fmt: skip
    elif roll < 0.08:
        story.tell(ZORGVERKOOP, "schedule.line_ended.v1", account.relation, {
            "line": last.line, "occurred_on": paused_on.isoformat(),
        }, paused_on)  # fmt: skip
