"""What an alert is about, as people read it: a name of each rule, in Dutch (level B1) and English, and of its subject.

For titles of timeline entries, mails, the lists of alerts and the command line. A new rule has its line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from projections.title_words import Language, word

# rule, or rule and first part of what it is about: Dutch, English
_NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "contact_overdue": ("contact is te laat", "contact is overdue"),
    "low_score": ("een lage score vraagt om een reactie", "a low score asks for a follow-up"),
    "a_relation_incomplete": ("er ontbreekt iets bij deze A-relatie", "something is missing for this A relation"),
    "a_relation_incomplete lack:board_line": (
        "deze A-relatie heeft geen contact met het bestuur in het schema", "this A relation has no line of the board",
    ),
    "a_relation_incomplete lack:plan": (
        "deze A-relatie heeft geen goedgekeurd plan", "this A relation has no approved plan",
    ),
    "a_relation_incomplete lack:knowledge": (
        "de kennis over deze A-relatie is niet volledig of te oud",
        "the knowledge about this A relation is incomplete or stale",
    ),
    "a_relation_incomplete lack:satisfaction": (
        "de tevredenheid van deze A-relatie is te lang niet gemeten",
        "the satisfaction of this A relation was not measured for too long",
    ),
    "a_relation_incomplete falling:satisfaction": (
        "de tevredenheid van deze A-relatie daalt", "the satisfaction of this A relation is falling",
    ),
    "a_relation_neglected": (
        "deze A-relatie krijgt minder aandacht dan B-relaties", "this A relation gets less attention than B relations",
    ),
    "plan_due": ("het plan vraagt om aandacht", "the plan needs attention"),
    "plan_due action": ("een actie uit het plan is te laat", "an action of the plan is late"),
    "plan_due plan": ("het plan moet opnieuw bekeken worden", "the plan is due for review"),
    "agreement_ending": ("een overeenkomst loopt af", "an agreement ends"),
    "programme_off_course": ("een programma vraagt om bijsturing", "a programme needs steering"),
    "programme_off_course progress": (
        "de voortgang van een programma is te lang niet gemeld", "no progress of a programme was reported for too long",
    ),
    "programme_off_course red": (
        "een programma is niet op koers en er is nog niet bijgestuurd",
        "a programme is off course and nothing was decided about it",
    ),
    "chain_phase_without_guarantor": (
        "niemand staat garant voor een fase van de keten", "nobody guarantees a phase of the chain",
    ),
    "commitment_late": ("een toezegging is te laat", "a promise is late"),
    "tier_without_schedule": ("er is nog geen contactschema", "there is no contact schedule yet"),
    "merged_lines_conflict": (
        "na een samenvoeging zijn er twee regels voor dezelfde lagen: kies er een",
        "after a merge there are two schedule lines for the same layers: choose one",
    ),
}  # fmt: skip
_OTHER: Final = ("dit vraagt om aandacht", "this needs attention")
# These name what is meant already; what follows in `about` is a code.
_SAID: Final = frozenset({"lack", "falling", "attention", "schedule", "policy"})


def known_rules() -> frozenset[str]:
    """The rules that have a name."""
    return frozenset(name for name in _NAMES if " " not in name)


def rule_name(rule: str, about: str | None, language: Language) -> str:
    """What an alert of a rule is about: a part of a sentence, without a capital."""
    first = (about or "").partition(":")[0]
    keys = (f"{rule} {(about or '').partition('@')[0]}", f"{rule} {first}", rule)
    return next((_NAMES[key] for key in keys if key in _NAMES), _OTHER)[language == "en"]


def alert_name(rule: str, about: str | None, language: Language) -> str:
    """`rule_name`, and which one it is where `about` says so: `een toezegging is te laat (k-1)`."""
    name = rule_name(rule, about, language)
    first, _, rest = (about or "").partition(":")
    if not rest or first in _SAID or rule == "contact_overdue":
        return name
    if first == "layers":
        ours, theirs = (word(layer, language) for layer in rest.partition("@")[0].split(":"))
        return f"{name} ({ours} - {theirs})"
    return f"{name} ({rest.replace(':', ', ')})"
