"""What alerts are about, in words: every rule has a Dutch and an English name, and the mail and the titles use it."""

from __future__ import annotations

from typing import Any

import pytest

from projections.alert_line import RULE as CONTACT_OVERDUE
from projections.rule_names import alert_name, known_rules, rule_name
from projections.timeline_titles import title
from projections.workflows.rulebook import RULES
from services.alerts.mailing import mail_line


def test_every_rule_has_a_name_in_two_languages() -> None:
    assert known_rules() == {*RULES, CONTACT_OVERDUE}
    for rule in known_rules():
        dutch, english = rule_name(rule, None, "nl"), rule_name(rule, None, "en")
        assert dutch != english
        assert rule not in (dutch, english)


@pytest.mark.parametrize(
    ("rule", "about", "dutch"),
    [
        ("plan_due", "action:2026:a-1", "een actie uit het plan is te laat (2026, a-1)"),
        ("a_relation_incomplete", "lack:plan", "deze A-relatie heeft geen goedgekeurd plan"),
        ("a_relation_incomplete", "falling:satisfaction", "de tevredenheid van deze A-relatie daalt"),
        ("tier_without_schedule", "schedule", "er is nog geen contactschema"),
        ("commitment_late", "commitment:k-1@0b1f5b0e", "een toezegging is te laat (k-1@0b1f5b0e)"),
        (
            "merged_lines_conflict", "layers:board:tactical_management",
            "na een samenvoeging zijn er twee regels voor dezelfde lagen: kies er een (bestuur - middenmanagement)",
        ),
        ("contact_overdue", "policy:A:board:board:2026-01-01", "contact is te laat"),
        ("a_rule_to_come", "x:1", "dit vraagt om aandacht (1)"),
    ],
)  # fmt: skip
def test_an_alert_says_what_it_is_about(rule: str, about: str, dutch: str) -> None:
    assert alert_name(rule, about, "nl") == dutch


def test_the_title_of_an_alert_names_its_rule() -> None:
    data = {"rule": "programme_off_course", "about": "red:p-1", "due_on": "2026-03-16"}
    assert title("alert.raised", data) == (
        "Signaal: een programma is niet op koers en er is nog niet bijgestuurd (uiterlijk 16 maart 2026)"
    )
    assert title("alert.raised", data, "en").startswith("Alert: a programme is off course")


def test_a_mail_says_in_words_what_a_workflow_asks_for() -> None:
    alert: dict[str, Any] = {
        "rule": "plan_due", "about": "action:2026:a-1", "our_layer": None, "their_layer": None, "relation": "…",
        "relation_name": "Gemeente Den Haag", "working_days_overdue": 1, "due_on": "2026-05-04",
    }  # fmt: skip
    assert mail_line(alert, "raised") == (
        "- Nieuw: Gemeente Den Haag, een actie uit het plan is te laat (2026, a-1). Dit moest op 4 mei 2026 en is"
        " 1 werkdag te laat."
    )
    today = {**alert, "working_days_overdue": 0, "rule": "merged_lines_conflict", "about": "layers:board:board"}
    assert mail_line(today, "raised").endswith("kies er een (bestuur - bestuur). Dit moest op 4 mei 2026.")
