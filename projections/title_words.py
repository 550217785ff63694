"""What titles of timeline entries are made of: words for codes, days, amounts, in Dutch (level B1) and English."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final, Literal

from events.recorded import instant, local_date
from events.values import parse_period

Language = Literal["nl", "en"]
Data = Mapping[str, Any]
Title = Callable[[Data, Language], str]

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
    "tactical_management": ("middenmanagement", "tactical management"),
    "professional": ("professionals", "professionals"),
    "local": ("eigen nummer", "own number"), "kvk": ("KvK", "KvK"), "agb": ("AGB", "AGB"), "oin": ("OIN", "OIN"),
    "uzovi": ("UZOVI", "UZOVI"),
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
    "settled": ("het is gedaan", "it was done"),
    "followed_up": ("er is gereageerd", "it was followed up"),
    "withdrawn": ("de score is ingetrokken", "the score was withdrawn"),
    "relation_ended": ("de relatie is beëindigd", "the relation has ended"),
    "none": ("geen", "none"), "thin": ("zwak", "thin"), "adequate": ("voldoende", "adequate"),
    "strong": ("sterk", "strong"),
    "contract": ("Contract", "Contract"), "chain": ("Ketenafspraak", "Chain agreement"),
    "coalition": ("Duurzame coalitie", "Coalition"), "agreement_covenant": ("Convenant", "Covenant"),
    "green": ("op koers", "on course"), "amber": ("let op", "at risk"), "red": ("niet op koers", "off course"),
    "ours": ("van ons", "of ours"), "theirs": ("van hen", "of theirs"), "shared": ("van ons samen", "shared"),
    "referrals": ("verwijzingen", "referrals"), "complications": ("complicaties", "complications"),
    "length_of_stay": ("ligduur", "length of stay"), "waiting_time": ("wachttijd", "waiting time"),
    "falls": ("valincidenten", "falls"), "medication_errors": ("medicatiefouten", "medication errors"),
    "zvw": ("Zvw", "Zvw"), "wlz": ("Wlz", "Wlz"), "wmo": ("Wmo", "Wmo"), "jeugdwet": ("Jeugdwet", "Jeugdwet"),
    "pgb": ("pgb", "pgb"), "other_system": ("andere financiering", "other financing"),
}  # fmt: skip

_DUTCH: Final = str.maketrans(",.", ".,")


def on(day: date, language: Language) -> str:
    return f"{day.day} {_MONTHS[language][day.month - 1]} {day.year}"


def word(code: str, language: Language) -> str:
    """The word for a code; the code itself where there is none."""
    known = _WORDS.get(code)
    return code if known is None else known[language == "en"]


def when(value: Any, language: Language) -> str:
    """A date or date-time of a payload as a day in Amsterdam."""
    return on(local_date(instant(value)), language)


def euros(cents: int, language: Language) -> str:
    """`€ 1.250.000` or `€ 1,250,000`; with cents only where there are any."""
    whole, rest = divmod(cents, 100)
    text = f"{whole:,}" + (f".{rest:02}" if rest else "")
    return "€ " + (text.translate(_DUTCH) if language == "nl" else text)


def number(value: float, language: Language) -> str:
    text = f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"
    return text.translate(_DUTCH) if language == "nl" else text


# unit: Dutch one and more, English one and more
_UNITS: Final = (
    ("jaar", "jaar", "year", "years"),
    ("maand", "maanden", "month", "months"),
    ("week", "weken", "week", "weeks"),
    ("dag", "dagen", "day", "days"),
)


def every(period: str, language: Language) -> str:
    """An ISO 8601 period as one reads it: `elke maand`, `elke 3 maanden`, `every 2 weeks`."""
    known = parse_period(period)
    if known is None:
        return period
    years, months = divmod(known.months, 12)
    weeks, days = divmod(known.days, 7) if known.days % 7 == 0 else (0, known.days)
    counts = (years, months, weeks, days) if not (years and months) else (0, known.months, weeks, days)
    said = [(n, unit) for n, unit in zip(counts, _UNITS, strict=True) if n]
    dutch, join = language == "nl", " en " if language == "nl" else " and "
    one, more = (0, 1) if dutch else (2, 3)
    if len(said) == 1 and said[0][0] == 1:
        unit = said[0][1][one]
        return f"{'elk' if unit == 'jaar' else 'elke'} {unit}" if dutch else f"every {unit}"
    parts = join.join(f"{n} {unit[one if n == 1 else more]}" for n, unit in said)
    return f"{'elke' if dutch else 'every'} {parts}"


def plain(dutch: str, english: str) -> Title:
    return lambda data, language: dutch if language == "nl" else english


def phrase(dutch: str, english: str, **fields: str) -> Title:
    """A line with fields of the payload. `fields`: name → `day` a date, `word` a code, `system` a financing system,
    `euros` cents, `number`, or `text` as it is."""

    def make(data: Data, language: Language) -> str:
        values = {name: _shown(data.get(name), kind, language) for name, kind in fields.items()}
        return (dutch if language == "nl" else english).format(**values)

    return make


def _shown(value: Any, kind: str, language: Language) -> str:
    if value is None:
        return "?"
    match kind:
        case "day":
            return when(value, language)
        case "word":
            return word(str(value), language)
        case "system":
            return word("other_system" if value == "other" else str(value), language)
        case "euros":
            return euros(value, language)
        case "number" if isinstance(value, int | float):  # a score that is not told is a dash
            return number(value, language)
        case _:
            return str(value)
