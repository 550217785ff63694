"""Knowledge, relation plans, promises and satisfaction of the demo's year."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from services.demo.institution import employee
from services.demo.institution_wide import quarter_before, tell_reports
from services.demo.story import Story
from services.demo.structure import Account

ITEMS: Final = {
    "objectives": ("zorgverkoop", "Wil meer mensen langer thuis laten wonen en minder opnames."),
    "issues": ("zorgverkoop", "Personeel is schaars; de wachttijd voor nieuwe cliëntgroepen loopt op."),
    "critical_success_factors": ("zorgverkoop", "Korte lijnen met de wijk en één aanspreekpunt bij ons."),
    "facts_and_figures": ("finance", "Begroting is openbaar; ons aandeel schommelt rond een tiende."),
    "contacts_and_matrix": ("zorgverkoop", "Overzicht van wie met wie spreekt is bijgewerkt."),
    "position": ("finance", "Wij zijn een van de drie grotere aanbieders."),
    "market": ("zorgverkoop", "Vraag groeit door vergrijzing; twee kleinere aanbieders stoppen."),
    "competition": ("communicatie", "Een landelijke aanbieder is zichtbaar in de regio."),
    "strategy": ("zorgverkoop", "Stuurt op regionale samenwerking en langere contracten."),
    "direction": ("zorgverkoop", "Gaat van losse trajecten naar afspraken per wijk."),
    "need_for_our_services": ("kwaliteit", "Vraagt meer kortdurend verblijf en nazorg."),
    "specific_wishes": ("communicatie", "Wil elk kwartaal één overzicht in gewone taal."),
}

_ANSWERS: Final = (
    "Deze relatie is goed voor een vast deel van onze omzet en opent deuren in de regio.",
    "Vergrijzing, krappe arbeidsmarkt en nieuwe regels vragen om andere afspraken.",
    "Wij kiezen voor samenwerken in de wijk en voor minder, betere contracten.",
    "Een meerjarige afspraak en een vast overleg op alle lagen.",
    "Kortdurend verblijf, begeleiding thuis en nazorg.",
    "De bestuurder beslist; de beleidsadviseur schrijft het advies.",
    "Met de bestuurder en het hoofd inkoop; wij investeren in de adviseurs.",
    "Als betrouwbaar, nuchter en snel met cijfers.",
    "Met een ritme van gesprekken, een jaarlijks werkbezoek en open data over wachttijden.",
    "Zie de acties: voorstel wijkaanpak en gezamenlijk werkbezoek.",
)
_ACTIONS: Final = (
    "Voorstel voor de wijkaanpak sturen",
    "Gezamenlijk werkbezoek regelen",
    "Cijfers over wachttijden delen",
)
_PROMISES: Final = (
    ("us", "Kwartaalcijfers binnen twee weken na het kwartaal"), ("us", "Eén vast aanspreekpunt voor overplaatsingen"),
    ("them", "Voorlopige inkoopplannen vóór de zomer delen"), ("them", "Reactie op ons tariefvoorstel"),
)  # fmt: skip
_COMMENTS: Final = (
    "Prettig contact, snelle reactie.", "Afspraken worden nagekomen.", "Soms onduidelijk wie waarover gaat.",
    "Cijfers komen te laat.", "Denkt goed mee.",
)  # fmt: skip


def tell_insight(story: Story, accounts: list[Account]) -> None:
    """What we know of each account, what we plan and promise, and what they think of us."""
    year = str(story.today.year)
    defined = story.day(390)
    nps, csat = f"nps-{year}", f"tevredenheid-{year}"
    for data in (_nps(nps), _csat(csat)):
        story.tell(
            "kwaliteit",
            "satisfaction.instrument_defined.v1",
            None,
            data | {"occurred_on": defined.isoformat()},
            defined,
        )
    for account in accounts:
        _knowledge(story, account)
        if account.tier == "A":
            _plan(story, account, year)
        _promises(story, account)
        _scores(story, account, nps, csat)
    strategic = [a for a in accounts if a.tier == "A"]
    for number, account in enumerate(strategic):
        _reports(story, account, number)
    _disappoint(story, strategic[0], nps)
    tell_reports(story, nps)


def _knowledge(story: Story, account: Account) -> None:
    random = story.random
    # Of half of the A relations all is known and fresh; the others lack an item, or have one that is stale.
    whole = account.tier == "A" and story.number("knowledge of A") % 2 == 0
    count = len(ITEMS) if whole else random.randrange(9, 13) if account.tier == "A" else random.randrange(1, 5)
    for item in random.sample(list(ITEMS), count):
        department, text = ITEMS[item]
        on = story.day(random.randrange(20, 250 if whole else 380))
        story.tell(department, "knowledge.item_recorded.v1", account.relation, {
            "item": item, "text": text, "valid_until": (on + timedelta(days=300)).isoformat(),
            "occurred_on": on.isoformat(),
        }, on)  # fmt: skip


def _plan(story: Story, account: Account, year: str) -> None:
    random = story.random
    begun = story.day(random.randrange(200, 330))
    about: dict[str, Any] = {"plan": year}
    complete = random.random() < 0.65
    _draft(story, account, year, begun)
    for number, answer in enumerate(_ANSWERS, start=1):
        if not complete and number > random.randrange(4, 9):
            break
        on = begun + timedelta(days=3 * number)
        story.tell("zorgverkoop", "plan.question_answered.v1", account.relation, about | {
            "question": str(number), "answer": answer, "occurred_on": on.isoformat(),
        }, on)  # fmt: skip
    agreed = begun + timedelta(days=40)
    for number, what in enumerate(_ACTIONS[: random.randrange(1, 4)], start=1):
        action = f"a-{number}"
        due = agreed + timedelta(days=random.randrange(60, 300))
        story.tell("zorgverkoop", "plan.action_agreed.v1", account.relation, about | {
            "action": action, "what": what, "owner": employee(account.team, "tactical_management"),
            "due_on": due.isoformat(), "occurred_on": agreed.isoformat(),
        }, agreed)  # fmt: skip
        _finish(story, account, about | {"action": action}, due)
    if complete:
        approved = begun + timedelta(days=50)
        story.tell(
            "zorgverkoop", "plan.approved.v1", account.relation, about | {"occurred_on": approved.isoformat()}, approved
        )


def _draft(story: Story, account: Account, year: str, on: date) -> None:
    """The plan is begun; it takes the place of last year's, where there was one."""
    before = str(int(year) - 1)
    for plan, drafted in ((before, on - timedelta(days=60)), (year, on)):
        story.tell("zorgverkoop", "plan.drafted.v1", account.relation, {
            "plan": plan, "template": "tien-vragen", "horizon_on": f"{int(plan) + 3}-12-31",
            "occurred_on": drafted.isoformat(),
        }, drafted)  # fmt: skip
    story.tell("zorgverkoop", "plan.superseded.v1", account.relation, {
        "plan": before, "by": year, "occurred_on": (on + timedelta(days=1)).isoformat(),
    }, on + timedelta(days=1))  # fmt: skip


def _finish(story: Story, account: Account, about: dict[str, Any], due: date) -> None:
    """Most actions that are due were done; some got a later day, some were dropped, and some are late."""
    if due >= story.today:
        return
    turn = story.number("action due") % 5
    if turn == 0:
        return
    on = due - timedelta(days=3)
    if turn == 1:
        story.tell("zorgverkoop", "plan.action_deferred.v1", account.relation, about | {
            "due_on": story.day(-30).isoformat(), "reason": "Wacht op cijfers", "occurred_on": on.isoformat(),
        }, on)  # fmt: skip
        return
    how = "dropped" if turn == 2 else "completed"
    more = {"reason": "Niet meer nodig na het nieuwe beleidsplan"} if how == "dropped" else {}
    story.tell("zorgverkoop", f"plan.action_{how}.v1", account.relation, about | more | {
        "occurred_on": on.isoformat(),
    }, on)  # fmt: skip


def _reports(story: Story, account: Account, number: int) -> None:
    """Complaints and outcomes of the last four quarters, as totals."""
    for quarter in range(1, 5):
        on = story.workday(390 - 90 * quarter)
        period = quarter_before(on)
        count = (number + quarter) % 5
        story.tell("kwaliteit", "satisfaction.complaints_reported.v1", account.relation, {
            "period": period, "count": count, "resolved": max(0, count - quarter % 2), "occurred_on": on.isoformat(),
        }, on)  # fmt: skip
        story.tell("kwaliteit", "satisfaction.outcome_reported.v1", account.relation, {
            "indicator": "waiting_time", "period": period, "value": 34.5 - 2 * quarter + number % 7, "n": 60 + number,
            "occurred_on": on.isoformat(),
        }, on)  # fmt: skip
        story.tell("kwaliteit", "satisfaction.outcome_reported.v1", account.relation, {
            "indicator": "referrals", "period": period, "value": 40 + 3 * quarter + number,
            "occurred_on": on.isoformat(),
        }, on)  # fmt: skip


def _disappoint(story: Story, account: Account, nps: str) -> None:
    """A low score of yesterday, with the name of who gave it: the book opens a loop for it."""
    layer, person = next(iter(account.persons.items()))
    on = story.workday(1)
    story.tell("kwaliteit", "satisfaction.scored.v1", account.relation, {
        "response": "kw-laag-1", "instrument": nps, "score": 3, "layer": layer, "anonymous": False,
        "respondent": person, "comment": "Drie keer gebeld over dezelfde vraag.", "occurred_on": on.isoformat(),
    }, on)  # fmt: skip


def _promises(story: Story, account: Account) -> None:
    random = story.random
    for number, (by, what) in enumerate(random.sample(_PROMISES, random.randrange(1, 3)), start=1):
        department = random.choice(("zorgverkoop", "finance"))
        on = story.day(random.randrange(60, 300))
        commitment = f"{department[:2]}-k{number}"
        due = on + timedelta(days=random.randrange(30, 150))
        story.tell(department, "commitment.made.v1", account.relation, {
            "commitment": commitment, "by": by, "what": what, "due_on": due.isoformat(), "occurred_on": on.isoformat(),
        }, on)  # fmt: skip
        if due < story.today and random.random() < 0.9:
            kept = "fulfilled" if random.random() < 0.85 else "broken"
            story.tell(department, f"commitment.{kept}.v1", account.relation, {
                "commitment": commitment, "occurred_on": due.isoformat(),
            }, due)  # fmt: skip


def _scores(story: Story, account: Account, nps: str, csat: str) -> None:
    random = story.random
    liking = random.gauss(7.4, 1.1)
    responses = [(nps, 10, 1.0)] * random.randrange(3, 10) + [(csat, 5, 0.5)] * random.randrange(0, 7)
    for number, (instrument, top, factor) in enumerate(responses, start=1):
        on = story.day(random.randrange(5, 360))
        score = max(0 if top == 10 else 1, min(top, round(random.gauss(liking * factor, 1.6 * factor))))
        layer, person = random.choice(list(account.persons.items()))
        data: dict[str, Any] = {
            "response": f"r-{number}", "instrument": instrument, "score": score, "layer": layer,
            "anonymous": random.random() < 0.3, "occurred_on": on.isoformat(),
        }  # fmt: skip
        if not data["anonymous"]:
            data["respondent"] = person
            if random.random() < 0.4:
                data["comment"] = random.choice(_COMMENTS)
        story.tell("kwaliteit", "satisfaction.scored.v1", account.relation, data, on)
        if score <= (6 if top == 10 else 2):
            _follow_up(story, account, on)


def _follow_up(story: Story, account: Account, on: date) -> None:
    """After most low scores somebody calls within two days; the topic tells the book what the call was for."""
    at = story.moment(story.workday((story.today - on).days - 2))
    if story.number("low score") % 7 == 0 or at >= story.now:
        return
    story.tell("kwaliteit", "contact.held.v1", account.relation, {
        "contact": f"kw-o{story.number(f'follow-up {account.relation.key}')}", "occurred_at": at.isoformat(),
        "duration_min": 10, "channel": "phone", "activity": "conversation", "topics": ["opvolging"],
        "ours": [{"employee": employee(account.team, "professional"), "layer": "professional"}],
        "theirs": [{"layer": "professional"}], "summary": "Gebeld na de enquête en een afspraak gemaakt.",
    }, at)  # fmt: skip


def _nps(name: str) -> dict[str, Any]:
    return {
        "instrument": name, "kind": "nps", "scale_min": 0, "scale_max": 10, "min_n": 5, "wording_version": 1,
        "bands": [
            {"name": "low", "from": 0, "to": 6}, {"name": "middle", "from": 7, "to": 8}, {"name": "high", "from": 9,
            "to": 10},
        ],
    }  # fmt: skip


def _csat(name: str) -> dict[str, Any]:
    return {
        "instrument": name,
        "kind": "csat",
        "scale_min": 1,
        "scale_max": 5,
        "min_n": 5,
        "wording_version": 1,
        "bands": [
            {"name": "low", "from": 1, "to": 2},
            {"name": "middle", "from": 3, "to": 3},
            {"name": "high", "from": 4, "to": 5},
        ],
    }
