"""What goes on between relations and us: interests, performances, tenders, promises, notes, and things taken back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from services.demo.institution import employee
from services.demo.story import Story
from services.demo.structure import Account

_ZORGVERKOOP: Final = "zorgverkoop"
_INTERESTS: Final = (
    ("theirs", "Voorspelbare kosten per wijk", "us"), ("ours", "Langere contracten, minder verantwoording", "them"),
    ("shared", "Mensen niet twee keer hun verhaal laten doen", "them"), ("theirs", "Eén overzicht per kwartaal", None),
)  # fmt: skip
_PERFORMANCES: Final = (
    ("us", "Wachttijd van 31 naar 23 dagen", True), ("them", "Betaling binnen dertig dagen", True),
    ("us", "Twee wijkteams met vaste gezichten", False),
)  # fmt: skip
_TENDERS: Final = (
    ("Begeleiding per wijk", "won", None), ("Dagbesteding", "lost", "Prijs, en te weinig zicht op resultaten"),
    ("Kortdurend verblijf", None, None), ("Hulp bij het huishouden", "lost", "Een ander kende de wijk beter"),
)  # fmt: skip
_NOTES: Final = (
    "De krant meldt dat de inkoop volgend jaar per wijk gaat.", "Gebeld, niet bereikt; volgende week opnieuw.",
    "Op het congres gehoord dat er een nieuwe bestuurder komt.",
)  # fmt: skip


def tell_affairs(story: Story, accounts: list[Account]) -> None:
    """For some of the A relations each kind of affair; a few things that were wrong and were taken back."""
    strategic = [a for a in accounts if a.tier == "A"]
    for number, account in enumerate(strategic):
        _partnership(story, account, number)
        if number % 2 == 0:
            _tender(story, account, number // 2)
        _note(story, account, number)
        _measure(story, account, number)
    _promises(story, strategic[0])
    _take_back(story, strategic[1])
    _entered_twice(story, strategic[2])
    _leave(story, strategic)


def _partnership(story: Story, account: Account, number: int) -> None:
    told = story.workday(200 - number)
    for n, (holder, text, by) in enumerate(_INTERESTS[: 2 + number % 3], start=1):
        data: dict[str, Any] = {"interest": f"b-{n}"}
        story.tell(_ZORGVERKOOP, "partnership.interest_recorded.v1", account.relation, data | {
            "holder": holder, "text": text, "occurred_on": told.isoformat(),
        }, told)  # fmt: skip
        if by is not None and (number + n) % 3:
            seen = story.workday(90)
            story.tell(_ZORGVERKOOP, "partnership.interest_acknowledged.v1", account.relation, data | {
                "by": by, "occurred_on": seen.isoformat(),
            }, seen)  # fmt: skip
    by, text, acknowledged = _PERFORMANCES[number % len(_PERFORMANCES)]
    reported = story.workday(70)
    story.tell(_ZORGVERKOOP, "partnership.performance_reported.v1", account.relation, {
        "performance": "pr-1", "by": by, "text": text, "period": f"{reported.year}-Q{(reported.month + 2) // 3}",
        "occurred_on": reported.isoformat(),
    }, reported)  # fmt: skip
    if acknowledged:
        seen = story.workday(35)
        story.tell(_ZORGVERKOOP, "partnership.performance_acknowledged.v1", account.relation, {
            "performance": "pr-1", "by": "them" if by == "us" else "us", "occurred_on": seen.isoformat(),
        }, seen)  # fmt: skip


def _tender(story: Story, account: Account, number: int) -> None:
    title, outcome, reason = _TENDERS[number % len(_TENDERS)]
    announced, offered, decided = story.workday(180), story.workday(130), story.workday(55 + number)
    data: dict[str, Any] = {"opportunity": f"t-{number + 1}"}
    value = 240_000_000 + 35_000_000 * number
    story.tell(_ZORGVERKOOP, "opportunity.tender_announced.v1", account.relation, data | {
        "title": title, "value_cents": value, "closes_on": (offered + timedelta(days=5)).isoformat(),
        "occurred_on": announced.isoformat(),
    }, announced)  # fmt: skip
    story.tell(_ZORGVERKOOP, "opportunity.offer_submitted.v1", account.relation, data | {
        "value_cents": value * 97 // 100, "occurred_on": offered.isoformat(),
    }, offered)  # fmt: skip
    if outcome == "won":
        more: dict[str, Any] = {"value_cents": value * 96 // 100}
    elif outcome == "lost":
        more = {"reason": reason}
    else:
        return
    story.tell(_ZORGVERKOOP, f"opportunity.{outcome}.v1", account.relation, data | more | {
        "occurred_on": decided.isoformat(),
    }, decided)  # fmt: skip


def _note(story: Story, account: Account, number: int) -> None:
    at = story.moment(story.workday(5 + number * 3))
    story.tell("communicatie", "note.recorded.v1", account.relation, {
        "note": "co-n1", "text": _NOTES[number % len(_NOTES)], "topics": ["signaal"], "occurred_at": at.isoformat(),
    }, at, visibility="department" if number % 5 == 0 else None)  # fmt: skip


def _measure(story: Story, account: Account, number: int) -> None:
    """Our position in figures, and how well we know the people who decide."""
    year = story.today.year - 1
    on = story.day(240)
    story.tell("finance", "knowledge.position_measured.v1", account.relation, {
        "year": year, "revenue_cents": 95_000_000 + 21_500_000 * number, "share_pct": 6 + number % 15,
        "occurred_on": on.isoformat(),
    }, on)  # fmt: skip
    for n, (layer, person) in enumerate(account.persons.items()):
        story.tell(_ZORGVERKOOP, "matrix.link_assessed.v1", account.relation, {
            "ours": employee(account.team, layer), "theirs": person,
            "coverage": ("strong", "adequate", "thin", "none")[(number + n) % 4],
            "occurred_on": story.day(150).isoformat(),
        }, story.day(150))  # fmt: skip


def _promises(story: Story, account: Account) -> None:
    """One promise of each kind that is late, and one that was let go; the others are in `insight`."""
    made = story.workday(100)
    for commitment, by, what, ago in (
        ("zo-laat-1", "us", "Voorstel voor de wijkaanpak", 20), ("zo-laat-2", "them", "Cijfers over verwijzingen", 35),
        ("zo-vrij-1", "them", "Tweede contactpersoon aanwijzen", 50),
    ):  # fmt: skip
        story.tell(_ZORGVERKOOP, "commitment.made.v1", account.relation, {
            "commitment": commitment, "by": by, "what": what, "due_on": story.workday(ago).isoformat(),
            "occurred_on": made.isoformat(),
        }, made)  # fmt: skip
    on = story.workday(45)
    story.tell(_ZORGVERKOOP, "commitment.released.v1", account.relation, {
        "commitment": "zo-vrij-1", "occurred_on": on.isoformat(),
    }, on)  # fmt: skip


def _take_back(story: Story, account: Account) -> None:
    """A finding about another relation, taken back by the department that sent it."""
    on = story.workday(25)
    story.tell("communicatie", "knowledge.item_recorded.v1", account.relation, {
        "item": "competition", "text": "Een tweede aanbieder opent een locatie in het centrum.",
        "valid_until": story.day(-200).isoformat(), "occurred_on": on.isoformat(),
    }, on)  # fmt: skip
    wrong = story.told[-1].event
    at = story.moment(story.workday(24))
    story.tell("communicatie", "correction.withdrawn.v1", account.relation, {
        "source": wrong["source"], "id": wrong["id"], "reason": "Ging over een andere relatie",
        "occurred_at": at.isoformat(),
    }, at)  # fmt: skip


def _entered_twice(story: Story, account: Account) -> None:
    """One gathering that two departments entered; declared the same, it counts once."""
    at = story.moment(story.workday(33))
    both: list[str] = []
    for department in (_ZORGVERKOOP, "communicatie"):
        both.append(f"{department[:2]}-samen-1")
        story.tell(department, "contact.held.v1", account.relation, {
            "contact": both[-1], "occurred_at": at.isoformat(), "duration_min": 120, "channel": "event",
            "activity": "gathering", "topics": ["netwerk"],
            "ours": [{"employee": employee(account.team, "senior_management"), "layer": "senior_management"}],
            "theirs": [{"layer": "senior_management"}],
        }, at)  # fmt: skip
    said = story.workday(31)
    story.tell("communicatie", "contact.declared_same.v1", account.relation, {
        "contacts": both, "canonical": both[0], "occurred_on": said.isoformat(),
    }, said)  # fmt: skip


def _leave(story: Story, strategic: list[Account]) -> None:
    """A colleague leaves, and the person whom a line names leaves too: that line is vacant."""
    on = story.workday(20)
    story.tell(_ZORGVERKOOP, "employee.left.v1", None, {
        "employee": employee(strategic[-1].team, "professional"), "on": on.isoformat(), "occurred_on": on.isoformat(),
    }, on)  # fmt: skip
    account = next(a for a in strategic if any(line.their_person for line in a.lines))
    person = next(line.their_person for line in account.lines if line.their_person)
    gone = story.workday(15)
    story.tell(_ZORGVERKOOP, "counterpart.departed.v1", account.relation, {
        "person": person, "occurred_on": gone.isoformat(),
    }, gone)  # fmt: skip
    other = strategic[3]
    moved = story.workday(90)
    story.tell(_ZORGVERKOOP, "counterpart.moved.v1", other.relation, {
        "person": other.persons["tactical_management"], "function": "Hoofd inkoop sociaal domein",
        "decision_role": "decides", "occurred_on": moved.isoformat(),
    }, moved)  # fmt: skip
