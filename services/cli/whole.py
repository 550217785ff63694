"""One relation, one alert or one loop as a whole, in words: what `relation show`, `alerts ID` and `loops ID` print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from projections.rule_names import alert_name
from services.cli.brief import brief
from services.cli.console import cell, print_fields, print_table
from services.cli.dutch import moment, pair, said
from services.cli.parts import FIGURES, LINES

Json = Mapping[str, Any]

_PAIRS: Final = (("layers", "Wie met wie"), ("contacts", "Contacten"), ("last_at", "Laatste"))


def print_whole(document: Json) -> None:
    print_fields(str(document["name"]), [(label, value) for label, value in _relation(document) if value])
    print_table("Contactschema", LINES, map(brief, document["schedule"]))
    print_table("Wie spreekt wie", _PAIRS, map(brief, document["contacts_by_layer_pair"]))
    print_table("Tevredenheid", FIGURES, map(brief, document["satisfaction"]))


def _relation(one: Json) -> Sequence[tuple[str, Any]]:
    """What it says in lines; empty where there is nothing to say."""
    pairs = {line["line"]: pair(line) for line in one["schedule"]}
    knowledge, coverage = one["knowledge"], one["coverage"]
    return (
        ("Soort", said("kind", one["kind"])),
        ("Regio", one["region"]),
        ("Nummers", [f"{i['scheme']} {i['value']}" for i in one["identifiers"]]),
        ("Niveau", one["tier"] and f"{one['tier']}, sinds {said('tier_on', one['tier_on'])}"),
        ("Waarom dit niveau", [argument["evidence"] for argument in one["tier_arguments"] or ()]),
        ("Opnieuw bekijken", one["tier_review_on"]),
        ("Eigenaar", one["owner"]),
        ("Teams", one["teams"]),
        ("Onderdeel van", one["parent"]),
        ("Hierin opgegaan", one["absorbed"] and f"{len(one['absorbed'])} andere"),
        ("Gestopt", one["ended_on"] and f"{moment(one['ended_on'])} {one['end_reason'] or ''}".strip()),
        ("Laatste contact", one["last_contact_at"]),
        ("In twaalf maanden", f"{one['contacts_12m']} contacten, {one['minutes_12m']} minuten"),
        ("Contacten in totaal", one["contacts_total"]),
        ("Per kanaal", [f"{said('channel', name)} {n}" for name, n in one["contacts_by_channel"].items()]),
        ("Gepland", [f"{moment(c['starts_at'])} {said('channel', c['channel'])}" for c in one["planned"]]),
        ("Volgende contact uiterlijk", one["next_due_on"]),
        ("Lagen met contact", f"{coverage['covered']} van {coverage['required']} die gevraagd zijn"),
        ("Signalen", "\n".join(_alert(alert, pairs) for alert in one["open_alerts"])),
        ("Opvolgingen", "\n".join(_loop(loop) for loop in one["open_loops"])),
        ("Kennis", f"{knowledge['complete']} van {knowledge['of']}, {knowledge['stale']} verouderd"),
        ("Plan", _plan(one["plan"])),
        ("Wat zij ons opleveren", [_measured(year) for year in one["position_measured"][:1]]),
        ("Toezeggingen", "\n".join(_promise(promise) for promise in one["commitments"])),
        ("Afspraken", "\n".join(_agreement(agreement) for agreement in one["agreements"])),
        ("Contactpersonen", "\n".join(_person(person) for person in one["counterparts"])),
        ("Id", one["id"]),
        ("Versie", one["version"]),
        ("Positie", one["position"]),
    )


def _alert(alert: Json, pairs: Mapping[str, str]) -> str:
    layers = pairs.get(alert["line"] or "")
    name = alert_name(alert["rule"], alert["about"], "nl") + (f" ({layers})" if layers else "")
    return f"{name}, uiterlijk {said('due_on', alert['due_on'])}"


def _loop(loop: Json) -> str:
    return f"{loop['instrument']}, uiterlijk {said('due_on', loop['due_on'])}{', te laat' if loop['late'] else ''}"


def _plan(plan: Json) -> str | None:
    if plan["plan"] is None:
        return None
    late = f", {plan['actions_late']} acties te laat" if plan["actions_late"] else ""
    return f"{plan['plan']}: {said('state', plan['state'])}, {plan['answered']} van 10 vragen beantwoord{late}"


def _measured(year: Json) -> str:
    share = "" if year["share_pct"] is None else f" ({said('share_pct', year['share_pct'])}% van wat zij uitgeven)"
    return f"{year['year']}: {said('revenue_cents', year['revenue_cents'])}{share}"


def _promise(promise: Json) -> str:
    late = ", te laat" if promise["late"] else ""
    return f"{said('by', promise['by'])}: {promise['what'] or '–'}, uiterlijk {said('due_on', promise['due_on'])}{late}"


def _agreement(agreement: Json) -> str:
    name = agreement["name"] or agreement["agreement"]
    return f"{name}: {said('state', agreement['state'])}, tot en met {moment(agreement['until'])}"


def _person(person: Json) -> str:
    known = (person["function"], said("layer", person["layer"]), said("decision_role", person["decision_role"]))
    return f"{person['name'] or '–'} ({', '.join(part for part in known if part and part != '–')})"


def what_of(alert: Json) -> str:
    """What an alert is about, in words, with the layers of its line."""
    name = alert_name(alert["rule"], alert["about"], "nl")
    return f"{name} ({pair(alert)})" if alert["our_layer"] else name


_ALERT: Final = (
    ("state", "Stand"), ("due_on", "Uiterlijk"), ("last_ok_on", "Laatste dag op tijd"),
    ("working_days_overdue", "Werkdagen te laat"), ("owner", "Eigenaar"), ("level", "Stap"),
    ("raised_at", "Ontstaan"), ("escalated_at", "Hogerop gemeld"), ("acknowledged_at", "Gezien"),
    ("snoozed_until", "Uitgesteld tot"), ("resolved_at", "Opgelost"), ("resolution", "Waarom opgelost"),
    ("silent_sources", "Afdelingen die lang stil zijn"), ("rule", "Regel"), ("rule_version", "Versie van de regel"),
    ("line", "Regel van het contactschema"), ("evidence", "Posities"), ("id", "Signaal"),
)  # fmt: skip
_LOOP: Final = (
    ("instrument", "Meting"), ("score", "Score"), ("respondent", "Wie"), ("anonymous", "Anoniem"), ("state", "Stand"),
    ("due_on", "Uiterlijk"), ("working_days_late", "Werkdagen te laat"), ("owner", "Eigenaar"), ("level", "Stap"),
    ("opened_at", "Ontstaan"), ("followed_up_at", "Opgevolgd"), ("note", "Notitie"), ("closed_at", "Gesloten"),
    ("why", "Waarom gesloten"), ("evidence", "Posities"), ("id", "Opvolging"),
)  # fmt: skip


def print_alert(alert: Json, explanation: Sequence[str] = ()) -> None:
    why = [("Uitleg", "\n".join(explanation))] if explanation else []
    _print(alert, [("Signaal over", what_of(alert)), *why], _ALERT)


def print_loop(loop: Json) -> None:
    why = loop["reason"] and said("resolution", loop["reason"])
    _print({**loop, "why": why}, [], _LOOP)


def _print(one: Json, first: Sequence[tuple[str, str]], columns: Sequence[tuple[str, str]]) -> None:
    one = brief(one)
    there = [(label, cell(one[m], m)) for m, label in columns if one.get(m) not in (None, [])]
    print_fields(str(one["relation_name"]), [*first, *there])
