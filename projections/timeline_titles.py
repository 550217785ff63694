"""What a timeline entry is called: one short line a kind of event, in Dutch (level B1) or English. No personal data.

A title is made from the stored payload at reading. Kinds without a line of their own get a general one, so that a new
event type shows at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from projections.affair_titles import AFFAIRS
from projections.title_words import Data, Language, Title, every, phrase, plain, word

_OF_AN_ANSWER: Final = frozenset({"response", "evidence"})

RESTRICTED: Final[Mapping[Language, str]] = {"nl": "vertrouwelijk contact", "en": "confidential contact"}


def title(kind: str, data: Data, language: Language = "nl") -> str:
    """The title of an event of this kind (`contact.held`) with this stored payload."""
    known = _TITLES.get(kind)
    if known is not None:
        return known(data, language)
    family, _, event = kind.partition(".")
    return f"{'Gebeurtenis' if language == 'nl' else 'Event'}: {family} {event.replace('_', ' ')}"


def told(kind: str, data: Data) -> dict[str, Any]:
    """What a timeline or a history shows of an event's data: of a loop not which answer it follows up, which may be an
    anonymous one. The list of loops names it where it is not."""
    return {name: value for name, value in data.items() if kind != "loop.opened" or name not in _OF_AN_ANSWER}


def _held(data: Data, language: Language) -> str:
    minutes = "minuten" if language == "nl" else "minutes"
    activity = word(data["activity"], language) if data.get("activity") else word("other", language)
    channel = word(data["channel"], language)
    how = activity if channel == activity.lower() else f"{activity}, {channel}"
    return f"{how}, {data['duration_min']} {minutes}"


def _line_set(data: Data, language: Language) -> str:
    our, their = word(data["our_layer"], language), word(data["their_layer"], language)
    cadence = data["cadence"]
    if cadence["mode"] == "quota":
        per = word(cadence["per"], language)
        often = f"{cadence['times']} keer per {per}" if language == "nl" else f"{cadence['times']} times a {per}"
    else:
        often = every(cadence["every"], language)
    return (
        f"Contactschema: ons {our} met hun {their}, {often}"
        if language == "nl"
        else f"Contact schedule: our {our} with their {their}, {often}"
    )


_TITLES: Final[Mapping[str, Title]] = {
    "relation.registered": phrase("Relatie toegevoegd: {name}", "Relation added: {name}", name="text"),
    "relation.identifier_linked": phrase(
        "Nummer gekoppeld: {scheme} {value}", "Number linked: {scheme} {value}", scheme="word", value="text"
    ),
    "relation.details_changed": plain("Gegevens van de relatie gewijzigd", "Details of the relation changed"),
    "relation.tier_assigned": phrase("Ingedeeld als {tier}-relatie", "Became an {tier} relation", tier="text"),
    "relation.owner_assigned": plain("Nieuwe eigenaar van de relatie", "New owner of the relation"),
    "relation.merged": plain("Relaties samengevoegd", "Relations merged"),
    "relation.unmerged": plain("Samenvoegen teruggedraaid", "Merge undone"),
    "relation.ended": plain("Relatie beëindigd", "Relation ended"),
    "counterpart.added": phrase("Contactpersoon toegevoegd ({layer})", "Contact person added ({layer})", layer="word"),
    "counterpart.moved": plain("Contactpersoon heeft een andere functie", "Contact person has another function"),
    "counterpart.departed": plain("Contactpersoon is vertrokken", "Contact person has left"),
    "team.relation_assigned": phrase(
        "Team {team} werkt nu met deze relatie", "Team {team} now has this relation", team="text"
    ),
    "team.relation_unassigned": phrase(
        "Team {team} werkt niet meer met deze relatie", "Team {team} no longer has this relation", team="text"
    ),
    "contact.planned": phrase(
        "Contact gepland op {starts_at} ({channel})", "Contact planned on {starts_at} ({channel})",
        starts_at="day", channel="word",
    ),
    "contact.rescheduled": phrase("Contact verzet naar {starts_at}", "Contact moved to {starts_at}", starts_at="day"),
    "contact.cancelled": plain("Gepland contact gaat niet door", "Planned contact cancelled"),
    "contact.no_show": plain("Gepland contact: niemand gekomen", "Planned contact: nobody came"),
    "contact.held": _held,
    "contact.corrected": plain("Contact verbeterd", "Contact corrected"),
    "contact.retracted": plain("Contact ingetrokken", "Contact retracted"),
    "contact.declared_same": plain("Contacten zijn hetzelfde contact", "Contacts are one and the same"),
    "note.recorded": plain("Notitie", "Note"),
    "schedule.line_set": _line_set,
    "schedule.line_paused": phrase(
        "Contactschema gepauzeerd tot {until}", "Contact schedule paused until {until}", until="day"
    ),
    "schedule.line_resumed": plain("Contactschema loopt weer", "Contact schedule resumed"),
    "schedule.line_ended": plain("Regel van het contactschema gestopt", "Line of the contact schedule ended"),
    "schedule.line_reassigned": plain(
        "Regel van het contactschema heeft een andere eigenaar", "Line of the contact schedule has another owner"
    ),
    "knowledge.item_recorded": phrase("Kennis bijgewerkt: {item}", "Knowledge updated: {item}", item="word"),
    "plan.question_answered": phrase(
        "Relatieplan {plan}: vraag {question} beantwoord", "Relation plan {plan}: question {question} answered",
        plan="text", question="text",
    ),
    "plan.drafted": phrase(
        "Relatieplan {plan} begonnen, kijkt vooruit tot {horizon_on}",
        "Relation plan {plan} begun, looks ahead until {horizon_on}",
        plan="text", horizon_on="day",
    ),
    "plan.superseded": phrase(
        "Relatieplan {plan} geldt niet meer", "Relation plan {plan} no longer holds", plan="text"
    ),
    "plan.action_agreed": phrase(
        "Actie afgesproken, klaar op {due_on}", "Action agreed, due on {due_on}", due_on="day"
    ),
    "plan.action_completed": plain("Actie klaar", "Action completed"),
    "plan.action_deferred": phrase(
        "Actie uitgesteld tot {due_on}", "Action deferred until {due_on}", due_on="day"
    ),
    "plan.action_dropped": plain("Actie vervallen", "Action dropped"),
    "plan.approved": phrase("Relatieplan {plan} goedgekeurd", "Relation plan {plan} approved", plan="text"),
    "satisfaction.scored": phrase(
        "Score {score} ({instrument})", "Score {score} ({instrument})", score="number", instrument="text"
    ),
    "commitment.made": phrase(
        "Toezegging door {by}, op {due_on}", "Promise by {by}, due on {due_on}", by="word", due_on="day"
    ),
    "commitment.fulfilled": plain("Toezegging nagekomen", "Promise kept"),
    "commitment.broken": plain("Toezegging niet nagekomen", "Promise broken"),
    "commitment.released": plain("Toezegging vervalt", "Promise released"),
    # About no relation: in no timeline, but in the evidence of an alert.
    "team.formed": phrase("Team begonnen: {name}", "Team formed: {name}", name="text"),
    "team.member_joined": phrase("Team {team} kreeg er een lid bij", "Team {team} got one more member", team="text"),
    "team.member_left": phrase("Een lid verliet team {team}", "A member left team {team}", team="text"),
    "contributor.profiled": plain("Profiel van een medewerker", "Profile of a colleague"),
    "schedule.policy_set": phrase(
        "Beleid voor {tier}-relaties, versie {policy_version}", "Policy for {tier} relations, version {policy_version}",
        tier="text", policy_version="text",
    ),
    "schedule.working_calendar_set": phrase(
        "Werkdagen van {year} vastgesteld", "Working days of {year} set", year="text"
    ),
    "satisfaction.instrument_defined": phrase(
        "Meting {instrument}, versie {wording_version}", "Instrument {instrument}, version {wording_version}",
        instrument="text", wording_version="text",
    ),
    "satisfaction.round_closed": phrase("Meetronde {round} gesloten", "Round {round} closed", round="text"),
    "satisfaction.staff_reported": phrase(
        "Tevredenheid van medewerkers, {unit}, {period}", "Satisfaction of staff, {unit}, {period}",
        unit="text", period="text",
    ),
    "employee.left": phrase("Medewerker vertrekt op {on}", "Colleague leaves on {on}", on="day"),
    "person.erased": plain("Een persoon is gewist", "A person was erased"),
    "retention.applied": phrase("Bewaartermijn toegepast: {family}", "Retention applied: {family}", family="text"),
    **AFFAIRS,
}  # fmt: skip
