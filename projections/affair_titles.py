"""Titles of what goes on between a relation and us: agreements, chains, loops, alerts and more. No personal data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from projections.rule_names import known_rules, rule_name
from projections.title_words import Data, Language, Title, euros, number, phrase, plain, when, word


def _raised(data: Data, language: Language) -> str:
    rule = str(data.get("rule"))
    if rule not in known_rules() and data.get("line"):
        rule = "contact_overdue"
    name = rule_name(rule, data.get("about"), language)
    due_on = when(data["due_on"], language) if data.get("due_on") else "?"
    return f"Signaal: {name} (uiterlijk {due_on})" if language == "nl" else f"Alert: {name} (due {due_on})"


def _worth(dutch: str, english: str) -> Title:
    """With the value, where one is given."""

    def make(data: Data, language: Language) -> str:
        text = dutch if language == "nl" else english
        cents = data.get("value_cents")
        return text if cents is None else f"{text} ({euros(cents, language)})"

    return make


def _signed(data: Data, language: Language) -> str:
    kind = word("agreement_covenant" if data["type"] == "covenant" else data["type"], language)
    until = when(data["until"], language)
    return f"{kind} getekend, loopt tot en met {until}" if language == "nl" else f"{kind} signed, holds until {until}"


def _distributed(data: Data, language: Language) -> str:
    amounts: list[Any] = list(data["amounts"])
    total, parties = euros(sum(a["cents"] for a in amounts), language), len(amounts)
    if language == "nl":
        return f"Besparing verdeeld: {total} over {parties} {'partij' if parties == 1 else 'partijen'}"
    return f"Saving shared: {total} over {parties} {'party' if parties == 1 else 'parties'}"


def _key(data: Data, language: Language) -> str:
    shares = " - ".join(number(s["share_pct"], language) for s in data["shares"])
    return f"Verdeelsleutel afgesproken: {shares}" if language == "nl" else f"Sharing key agreed: {shares}"


def _saved(data: Data, language: Language) -> str:
    saving, met = euros(data["saving_cents"], language), data["quality_met"]
    if language == "nl":
        return f"Besparing {data['period']}: {saving}, kwaliteit {'gehaald' if met else 'niet gehaald'}"
    return f"Saving {data['period']}: {saving}, quality {'met' if met else 'not met'}"


def _complaints(data: Data, language: Language) -> str:
    count, period = data["count"], data["period"]
    if language == "nl":
        return f"{count} {'klacht' if count == 1 else 'klachten'} in {period}"
    return f"{count} {'complaint' if count == 1 else 'complaints'} in {period}"


def _outcome(data: Data, language: Language) -> str:
    days = data["indicator"] in ("length_of_stay", "waiting_time")
    unit = "" if not days else " dagen" if language == "nl" else " days"
    what = word(data["indicator"], language).capitalize()
    return f"{what} in {data['period']}: {number(data['value'], language)}{unit}"


def _guaranteed(data: Data, language: Language) -> str:
    until = (
        f" {'tot en met' if language == 'nl' else 'until'} {when(data['until'], language)}" if "until" in data else ""
    )
    phase = data["phase"]
    return f"Fase {phase} gegarandeerd{until}" if language == "nl" else f"Phase {phase} guaranteed{until}"


AFFAIRS: Final[Mapping[str, Title]] = {
    "matrix.link_assessed": phrase("Band beoordeeld: {coverage}", "Link assessed: {coverage}", coverage="word"),
    "knowledge.position_measured": phrase(
        "Onze positie in {year}: {share_pct} % ({revenue_cents})",
        "Our position in {year}: {share_pct} % ({revenue_cents})",
        year="text", share_pct="number", revenue_cents="euros",
    ),
    "opportunity.tender_announced": _worth("Aanbesteding aangekondigd", "Tender announced"),
    "opportunity.offer_submitted": _worth("Offerte verstuurd", "Offer submitted"),
    "opportunity.won": _worth("Opdracht gewonnen", "Assignment won"),
    "opportunity.lost": plain("Opdracht niet gewonnen", "Assignment lost"),
    "satisfaction.complaints_reported": _complaints,
    "satisfaction.outcome_reported": _outcome,
    "loop.opened": phrase(
        "Reactie nodig op een lage score, uiterlijk {due_on}", "A low score needs a follow-up, due {due_on}",
        due_on="day",
    ),
    "loop.followed_up": plain("Gereageerd op een lage score", "Low score followed up"),
    "loop.escalated": plain("Reactie op een lage score: doorgezet", "Follow-up of a low score: escalated"),
    "loop.closed": phrase("Opvolging gesloten: {reason}", "Follow-up closed: {reason}", reason="word"),
    "agreement.signed": _signed,
    "agreement.renewed": phrase(
        "Overeenkomst verlengd tot en met {until}", "Agreement renewed until {until}", until="day"
    ),
    "agreement.ended": plain("Overeenkomst gestopt", "Agreement ended"),
    "programme.started": phrase("Programma gestart: {name}", "Programme started: {name}", name="text"),
    "programme.progress_reported": phrase(
        "Programma {programme}, {indicator}: {actual}, doel {target} ({rag})",
        "Programme {programme}, {indicator}: {actual}, target {target} ({rag})",
        programme="text", indicator="text", actual="number", target="number", rag="word",
    ),
    "programme.steering_decision_taken": phrase(
        "Programma {programme} bijgestuurd, klaar op {due_on}", "Programme {programme} steered, due on {due_on}",
        programme="text", due_on="day",
    ),
    "chain.defined": phrase("Keten opgezet: {name}", "Chain set up: {name}", name="text"),
    "chain.partner_assigned": phrase(
        "Keten {chain}: partner voor fase {phase} ({financing_system})",
        "Chain {chain}: partner for phase {phase} ({financing_system})",
        chain="text", phase="text", financing_system="system",
    ),
    "chain.partner_replaced": phrase(
        "Keten {chain}: andere partner voor fase {phase} ({financing_system})",
        "Chain {chain}: another partner for phase {phase} ({financing_system})",
        chain="text", phase="text", financing_system="system",
    ),
    "chain.phase_guaranteed": _guaranteed,
    "chain.investment_recorded": phrase(
        "Investering in keten {chain}: {cents} in {period}", "Investment in chain {chain}: {cents} in {period}",
        chain="text", cents="euros", period="text",
    ),
    "chain.return_recorded": phrase(
        "Opbrengst van keten {chain}: {cents} in {period}", "Return of chain {chain}: {cents} in {period}",
        chain="text", cents="euros", period="text",
    ),
    "chain.baseline_agreed": phrase(
        "Beginwaarde afgesproken: {indicator} {cents} in {period}", "Baseline agreed: {indicator} {cents} in {period}",
        indicator="text", cents="euros", period="text",
    ),
    "chain.savings_assessed": _saved,
    "chain.sharing_key_agreed": _key,
    "chain.savings_distributed": _distributed,
    "partnership.interest_recorded": phrase("Belang {holder} genoteerd", "Interest {holder} recorded", holder="word"),
    "partnership.interest_acknowledged": phrase(
        "Belang erkend door {by}", "Interest acknowledged by {by}", by="word"
    ),
    "partnership.performance_reported": phrase(
        "Prestatie gemeld door {by}", "Performance reported by {by}", by="word"
    ),
    "partnership.performance_acknowledged": phrase(
        "Prestatie erkend door {by}", "Performance acknowledged by {by}", by="word"
    ),
    "alert.raised": _raised,
    "alert.resolved": phrase("Signaal gesloten: {reason}", "Alert closed: {reason}", reason="word"),
    "alert.reopened": plain("Signaal weer geopend", "Alert opened again"),
    "alert.acknowledged": plain("Signaal gezien", "Alert acknowledged"),
    "alert.snoozed": phrase("Signaal uitgesteld tot {until}", "Alert snoozed until {until}", until="day"),
    "alert.escalated": plain("Signaal doorgezet", "Alert escalated"),
    "correction.withdrawn": plain("Een gebeurtenis is ingetrokken", "An event was withdrawn"),
}  # fmt: skip
