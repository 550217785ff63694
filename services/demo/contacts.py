"""A made-up year of contacts: kept and neglected schedules, late, corrected, retracted, planned and cancelled ones."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from services.demo.institution import LAYERS, employee
from services.demo.story import Story
from services.demo.structure import Account, Line

_MINUTES: Final = {
    "meeting": (45, 60, 90), "video": (30, 45, 60), "phone": (10, 15, 25), "email": (5, 10), "letter": (15, 30),
    "visit": (90, 120), "event": (120, 180),
}  # fmt: skip
_TOPICS: Final = {
    "municipality": ("wmo", "jeugd", "tarieven", "wachttijden", "wijkteams", "mantelzorg", "inkoop"),
    "care_office": ("wlz", "zorgplan", "wachtlijst", "regioplan", "tarieven", "kwaliteit"),
    "health_insurer": ("zvw", "volumeafspraken", "innovatie", "inkoopbeleid", "coalitie"),
    "care_partner": ("overdracht", "ketenzorg", "verwijzingen", "opleiding", "digitale overdracht"),
}
_SUMMARIES: Final = (
    "Afspraken over {a} doorgenomen; {b} komt de volgende keer terug.",
    "Cijfers over {a} gedeeld. Zij willen meer zicht op {b}.",
    "Kennis gemaakt en gesproken over {a}. Vervolg gepland rond {b}.",
    "Knelpunt bij {a} besproken. Wij komen met een voorstel voor {b}.",
    "Tevreden over {a}; zorgen over {b} benoemd en eigenaar afgesproken.",
    "Plan voor {a} toegelicht, vragen beantwoord over {b}.",
)
_VISIBILITY: Final = ("team", "named", "department")

Held = tuple[str, datetime, Account]


def tell_contacts(story: Story, accounts: list[Account]) -> None:
    """Contacts of every line, others beside them, and what happened to some of them afterwards."""
    held: list[Held] = []
    for account in accounts:
        for line in account.lines:
            held += _line_contacts(story, account, line)
        held += _other_contacts(story, account)
    story.random.shuffle(held)
    _mend(story, held[:30], held[30:45])
    _plan(story, accounts)


def _line_contacts(story: Story, account: Account, line: Line) -> list[Held]:
    """Contacts at about the agreed pace. A neglected line stopped long enough ago to be overdue by now."""
    random = story.random
    held: list[Held] = []
    stop = 2
    if line.neglected:
        stop = line.every_days + line.grace + random.randrange(8, 60)
    ago = 375 - random.randrange(0, line.every_days // 2)
    while ago > stop:
        channels = line.channels or ("meeting", "meeting", "video", "phone", "visit")
        held.append(_held(story, account, "zorgverkoop", line.layer, random.choice(channels), ago))
        ago -= round(line.every_days * random.uniform(0.55, 0.95))
    if not line.neglected and not line.quota and held:
        # The last one is recent enough, so that only neglect makes a line overdue.
        last = round(line.every_days * random.uniform(0.1, 0.8))
        if ago + round(line.every_days * 0.95) > last + 7:
            held.append(_held(story, account, "zorgverkoop", line.layer, (line.channels or ("meeting",))[0], last))
    return held


def _other_contacts(story: Story, account: Account) -> list[Held]:
    """Mails, calls and gatherings of the other departments; they follow no schedule."""
    random = story.random
    held: list[Held] = []
    for department, channels in (
        ("communicatie", ("email", "event", "letter")), ("finance", ("phone", "email", "video")),
        ("kwaliteit", ("phone", "video", "visit")),
    ):  # fmt: skip
        for _ in range(random.randrange(1, 6 if account.tier == "A" else 4)):
            channel = random.choice(channels)
            # A B relation's tactical line accepts any channel; these must not keep it on time by accident.
            layer = "professional"
            held.append(_held(story, account, department, layer, channel, random.randrange(3, 360)))
    return held


def _held(story: Story, account: Account, department: str, layer: str, channel: str, ago: int) -> Held:
    random, kind = story.random, account.relation.kind
    at = story.moment(story.workday(ago))
    first, second = random.sample(_TOPICS[kind], 2)
    contact = f"{department[:2]}-{story.number(f'contact {department} {account.relation.key}')}"
    data: dict[str, Any] = {
        "contact": contact,
        "occurred_at": at.isoformat(),
        "duration_min": random.choice(_MINUTES[channel]),
        "channel": channel,
        "activity": "gathering"
        if channel == "event"
        else random.choice(("conversation", "conversation", "presentation")),
        "topics": [first, second] if random.random() < 0.4 else [first],
        "ours": [{"employee": employee(account.team, layer), "layer": layer}],
        "theirs": [_their(account, layer)],
    }
    if random.random() < 0.7:
        data["summary"] = random.choice(_SUMMARIES).format(a=first, b=second)
    if layer == "board" and random.random() < 0.5:
        data["ours"].append({"employee": employee(account.team, "senior_management"), "layer": "senior_management"})
    visibility = random.choice(_VISIBILITY) if random.random() < 0.04 else None
    late = timedelta(days=random.randrange(9, 40)) if random.random() < 0.06 else timedelta(hours=2)
    logged = min(at + late, story.now)
    story.tell(department, "contact.held.v1", account.relation, data, at, visibility=visibility, logged_at=logged)
    return contact, at, account


def _their(account: Account, layer: str) -> dict[str, Any]:
    person = account.persons.get(layer)
    return {"layer": layer} | ({"person": person} if person is not None else {})


def _department_of(contact: str) -> str:
    return {"zo": "zorgverkoop", "co": "communicatie", "fi": "finance", "kw": "kwaliteit"}[contact[:2]]


def _mend(story: Story, wrong: list[Held], twice: list[Held]) -> None:
    random = story.random
    for number, (contact, at, account) in enumerate(wrong):
        corrected_at = min(at + timedelta(days=random.randrange(1, 6)), story.now)
        changes: dict[str, Any] = {"duration_min": 75}
        reason = "Duurde langer dan gepland"
        if number % 3 == 0:
            changes, reason = {"occurred_at": (at - timedelta(days=1)).isoformat()}, "Verkeerde dag ingevoerd"
        story.tell(_department_of(contact), "contact.corrected.v1", account.relation, {
            "contact": contact, "changes": changes, "reason": reason, "occurred_at": corrected_at.isoformat(),
        }, corrected_at)  # fmt: skip
    for contact, at, account in twice:
        retracted_at = min(at + timedelta(days=random.randrange(1, 4)), story.now)
        story.tell(_department_of(contact), "contact.retracted.v1", account.relation, {
            "contact": contact, "reason": "Dubbel ingevoerd", "occurred_at": retracted_at.isoformat(),
        }, retracted_at)  # fmt: skip


def _plan(story: Story, accounts: list[Account]) -> None:
    """Meetings in the coming two months, some of them for lines that would else be overdue; some are called off."""
    random = story.random
    for number, account in enumerate(random.sample(accounts, 60)):
        layer = random.choice(account.lines).layer if account.lines else LAYERS[2]
        on = story.workday(-random.randrange(4, 60))
        starts = story.moment(on)
        contact = f"zo-p{number + 1}"
        logged = story.moment(story.workday(random.randrange(3, 20)))
        story.tell("zorgverkoop", "contact.planned.v1", account.relation, {
            "contact": contact, "starts_at": starts.isoformat(), "ends_at": (starts + timedelta(hours=1)).isoformat(),
            "channel": "meeting", "ours": [{"employee": employee(account.team, layer), "layer": layer}],
            "theirs": [_their(account, layer)],
        }, logged)  # fmt: skip
        if number % 8 == 1:
            later = starts + timedelta(days=7)
            moved = story.moment(story.workday(1)) - timedelta(hours=2)
            story.tell("zorgverkoop", "contact.rescheduled.v1", account.relation, {
                "contact": contact, "starts_at": later.isoformat(),
                "ends_at": (later + timedelta(hours=1)).isoformat(), "reason": "Agenda van de wethouder",
                "occurred_at": moved.isoformat(),
            }, moved)  # fmt: skip
        if number % 8 == 0:
            off = story.moment(story.workday(1)) - timedelta(hours=1)
            story.tell("zorgverkoop", "contact.cancelled.v1", account.relation, {
                "contact": contact, "occurred_at": off.isoformat(), "reason": "Verhinderd; nieuwe datum volgt",
            }, off)  # fmt: skip
