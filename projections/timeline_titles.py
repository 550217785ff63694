"""What a timeline entry is called: one short line a kind of event, in Dutch (level B1) or English. No personal data.

A title is made from the stored payload at reading. Kinds without a line of their own get a general one, so that a new
event type shows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final, Literal

from events.recorded import instant, local_date

Language = Literal["nl", "en"]
Data = Mapping[str, Any]

RESTRICTED: Final[Mapping[Language, str]] = {"nl": "vertrouwelijk contact", "en": "confidential contact"}

_MONTHS: Final[Mapping[Language, tuple[str, ...]]] = {
    "nl": (
        "januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober",
        "november", "december",
    ),
    "en": (
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
        "November", "December",
    ),
}  # fmt: skip

# code: Dutch, English
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "meeting": ("afspraak", "meeting"), "video": ("video", "video"), "phone": ("telefoon", "phone"),
    "email": ("e-mail", "e-mail"), "letter": ("brief", "letter"), "event": ("bijeenkomst", "event"),
    "visit": ("bezoek", "visit"),
    "conversation": ("Gesprek", "Conversation"), "presentation": ("Presentatie", "Presentation"),
    "offer": ("Aanbod", "Offer"), "covenant": ("Convenant", "Covenant"), "gathering": ("Bijeenkomst", "Gathering"),
    "other": ("Contact", "Contact"),
    "board": ("bestuur", "board"), "senior_management": ("hoger management", "senior management"),
    "tactical_management": ("tactisch management", "tactical management"),
    "professional": ("professionals", "professionals"),
    "us": ("ons", "us"), "them": ("hen", "them"),
    "month": ("maand", "month"), "quarter": ("kwartaal", "quarter"), "half_year": ("half jaar", "half year"),
    "year": ("jaar", "year"),
    "contact_held": ("er is contact geweest", "there was contact"),
    "late_evidence": ("het contact was op tijd, maar werd later ingevoerd", "the contact was in time, but came late"),
    "recomputed": ("de datum is opnieuw berekend", "the date was computed again"),
    "line_ended": ("de regel is gestopt", "the line has ended"), "merged": ("samengevoegd", "merged"),
    "rule_changed": ("de regels zijn veranderd", "the rules have changed"),
    "manual": ("met de hand gesloten", "closed by hand"),
    "objectives": ("doelen", "objectives"), "issues": ("knelpunten", "issues"),
    "critical_success_factors": ("succesfactoren", "critical success factors"),
    "facts_and_figures": ("feiten en cijfers", "facts and figures"),
    "contacts_and_matrix": ("contacten en matrix", "contacts and matrix"), "position": ("onze positie", "our position"),
    "history": ("geschiedenis", "history"), "market": ("markt", "market"),
    "competition": ("concurrentie", "competition"),
    "strategy": ("strategie", "strategy"), "direction": ("richting", "direction"),
    "need_for_our_services": ("behoefte aan onze diensten", "need for our services"),
    "specific_wishes": ("bijzondere wensen", "specific wishes"),
}  # fmt: skip


def title(kind: str, data: Data, language: Language = "nl") -> str:
    """The title of an event of this kind (`contact.held`) with this stored payload."""
    known = _TITLES.get(kind)
    if known is not None:
        return known(data, language)
    family, _, event = kind.partition(".")
    return f"{'Gebeurtenis' if language == 'nl' else 'Event'}: {family} {event.replace('_', ' ')}"


def on(day: date, language: Language) -> str:
    return f"{day.day} {_MONTHS[language][day.month - 1]} {day.year}"


def _word(code: str, language: Language) -> str:
    known = _WORDS.get(code)
    return code if known is None else known[language == "en"]


def _when(value: Any, language: Language) -> str:
    return on(local_date(instant(value)), language)


def _plain(dutch: str, english: str) -> Callable[[Data, Language], str]:
    return lambda data, language: dutch if language == "nl" else english


def _with(dutch: str, english: str, **fields: str) -> Callable[[Data, Language], str]:
    """A line with fields of the payload: `day` a date, `word` a code, `text` as it is. `fields`: name → kind."""

    def make(data: Data, language: Language) -> str:
        values: dict[str, str] = {}
        for name, kind in fields.items():
            value = data.get(name)
            if value is None:
                values[name] = "?"
            elif kind == "day":
                values[name] = _when(value, language)
            else:
                values[name] = _word(str(value), language) if kind == "word" else str(value)
        return (dutch if language == "nl" else english).format(**values)

    return make


def _held(data: Data, language: Language) -> str:
    minutes = "minuten" if language == "nl" else "minutes"
    activity = _word(data["activity"], language) if data.get("activity") else _word("other", language)
    return f"{activity}, {_word(data['channel'], language)}, {data['duration_min']} {minutes}"


def _line_set(data: Data, language: Language) -> str:
    our, their = _word(data["our_layer"], language), _word(data["their_layer"], language)
    cadence = data["cadence"]
    if cadence["mode"] == "quota":
        per = _word(cadence["per"], language)
        often = f"{cadence['times']} keer per {per}" if language == "nl" else f"{cadence['times']} times a {per}"
    else:
        often = f"elke {cadence['every']}" if language == "nl" else f"every {cadence['every']}"
    return (
        f"Contactschema: ons {our} met hun {their}, {often}"
        if language == "nl"
        else f"Contact schedule: our {our} with their {their}, {often}"
    )


_TITLES: Final[Mapping[str, Callable[[Data, Language], str]]] = {
    "relation.registered": _with("Relatie toegevoegd: {name}", "Relation added: {name}", name="text"),
    "relation.identifier_linked": _with(
        "Nummer gekoppeld: {scheme} {value}", "Number linked: {scheme} {value}", scheme="text", value="text"
    ),
    "relation.details_changed": _plain("Gegevens van de relatie gewijzigd", "Details of the relation changed"),
    "relation.tier_assigned": _with("Ingedeeld als {tier}-relatie", "Became an {tier} relation", tier="text"),
    "relation.owner_assigned": _plain("Nieuwe eigenaar van de relatie", "New owner of the relation"),
    "relation.merged": _plain("Relaties samengevoegd", "Relations merged"),
    "relation.unmerged": _plain("Samenvoegen teruggedraaid", "Merge undone"),
    "relation.ended": _plain("Relatie beëindigd", "Relation ended"),
    "counterpart.added": _with("Contactpersoon toegevoegd ({layer})", "Contact person added ({layer})", layer="word"),
    "counterpart.moved": _plain("Contactpersoon heeft een andere functie", "Contact person has another function"),
    "counterpart.departed": _plain("Contactpersoon is vertrokken", "Contact person has left"),
    "team.relation_assigned": _with(
        "Team {team} werkt nu met deze relatie", "Team {team} now has this relation", team="text"
    ),
    "team.relation_unassigned": _with(
        "Team {team} werkt niet meer met deze relatie", "Team {team} no longer has this relation", team="text"
    ),
    "contact.planned": _with(
        "Contact gepland op {starts_at} ({channel})", "Contact planned on {starts_at} ({channel})",
        starts_at="day", channel="word",
    ),
    "contact.rescheduled": _with("Contact verzet naar {starts_at}", "Contact moved to {starts_at}", starts_at="day"),
    "contact.cancelled": _plain("Gepland contact gaat niet door", "Planned contact cancelled"),
    "contact.no_show": _plain("Gepland contact: niemand gekomen", "Planned contact: nobody came"),
    "contact.held": _held,
    "contact.corrected": _plain("Contact verbeterd", "Contact corrected"),
    "contact.retracted": _plain("Contact ingetrokken", "Contact retracted"),
    "contact.declared_same": _plain("Contacten zijn hetzelfde contact", "Contacts are one and the same"),
    "note.recorded": _plain("Notitie", "Note"),
    "schedule.line_set": _line_set,
    "schedule.line_paused": _with(
        "Contactschema gepauzeerd tot {until}", "Contact schedule paused until {until}", until="day"
    ),
    "schedule.line_resumed": _plain("Contactschema loopt weer", "Contact schedule resumed"),
    "schedule.line_ended": _plain("Regel van het contactschema gestopt", "Line of the contact schedule ended"),
    "schedule.line_reassigned": _plain(
        "Regel van het contactschema heeft een andere eigenaar", "Line of the contact schedule has another owner"
    ),
    "knowledge.item_recorded": _with("Kennis bijgewerkt: {item}", "Knowledge updated: {item}", item="word"),
    "plan.question_answered": _with(
        "Relatieplan {plan}: vraag {question} beantwoord", "Relation plan {plan}: question {question} answered",
        plan="text", question="text",
    ),
    "plan.action_agreed": _with("Actie afgesproken, klaar op {due_on}", "Action agreed, due on {due_on}", due_on="day"),
    "plan.action_completed": _plain("Actie klaar", "Action completed"),
    "plan.action_deferred": _plain("Actie uitgesteld", "Action deferred"),
    "plan.action_dropped": _plain("Actie vervallen", "Action dropped"),
    "plan.approved": _with("Relatieplan {plan} goedgekeurd", "Relation plan {plan} approved", plan="text"),
    "satisfaction.scored": _with(
        "Score {score} ({instrument})", "Score {score} ({instrument})", score="text", instrument="text"
    ),
    "commitment.made": _with(
        "Toezegging door {by}, op {due_on}", "Promise by {by}, due on {due_on}", by="word", due_on="day"
    ),
    "commitment.fulfilled": _plain("Toezegging nagekomen", "Promise kept"),
    "commitment.broken": _plain("Toezegging niet nagekomen", "Promise broken"),
    "commitment.released": _plain("Toezegging vervalt", "Promise released"),
    "alert.raised": _with(
        "Signaal: contact is te laat (uiterlijk {due_on})", "Alert: contact is overdue (due {due_on})",
        due_on="day",
    ),
    "alert.resolved": _with("Signaal gesloten: {reason}", "Alert closed: {reason}", reason="word"),
    "alert.reopened": _plain("Signaal weer geopend", "Alert opened again"),
    "alert.acknowledged": _plain("Signaal gezien", "Alert acknowledged"),
    "alert.snoozed": _with("Signaal uitgesteld tot {until}", "Alert snoozed until {until}", until="day"),
    "alert.escalated": _plain("Signaal doorgezet", "Alert escalated"),
}  # fmt: skip
