"""What the ledger does around `decide`, in memory: for given/when/then tests of the rules that need state."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from events.book import Accept, Decision, Park, Reject, Thing, decide, keys_of, relation_of, subject_keys
from events.catalog import check
from events.rules import RULES
from events.withdrawing import event_key, event_thing

# Kinds of which the rules may look at keys that only show on the way.
FOLLOWING: Final = frozenset({"relation.merged", "relation.unmerged", "correction.withdrawn", "plan.approved"})
NOW = datetime(2026, 6, 30, 10, 0, tzinfo=UTC)
DENHAAG = str(uuid5(NAMESPACE_URL, "urn:relatieboek:gemeentecode:0518"))


def pseudonym(person: str) -> str:
    return hashlib.sha256(person.encode()).hexdigest()[:32]


class Book:
    """Loads just the keys that the rules name beforehand (all keys for `FOLLOWING`), and applies acceptances."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now
        self.things: dict[str, Thing] = {}
        self.versions: dict[str, int] = {}
        self.position = 0

    def send(
        self,
        kind: str,
        data: dict[str, Any],
        subject: str = "gemeentecode:0518",
        department: str = "crm",
        **attributes: Any,
    ) -> Decision:
        event = check(
            {
                "specversion": "1.0",
                "id": str(self.position),
                "source": "urn:nld:oin:00000001234567890000:systeem:crm",
                "type": f"nl.relatieboek.{kind}.v1",
                "subject": subject,
                "data": data,
                **attributes,
            }
        )
        rule = RULES[kind]
        loaded = {k: self.things.get(k) for k in subject_keys(event, department)}
        relation = relation_of(event, department, loaded.get)
        if relation is not None:
            loaded.update({k: self.things.get(k) for k in keys_of(rule, event, department, relation, pseudonym)})
        look = self.things.get if kind in FOLLOWING else loaded.__getitem__
        decision = decide(rule, event, department, look, self.now, pseudonym)
        if isinstance(decision, Accept):
            self.position += 1
            version = self.versions[decision.relation] = self.versions.get(decision.relation, 0) + 1
            for key, value in decision.touched.items():
                self.things[key] = Thing(value, version, self.position)
            named = event_key(event.source, event.id)
            self.things[named] = event_thing(kind, decision.relation, department, event.data, version, self.position)
        return decision

    def accept(self, kind: str, data: dict[str, Any], **more: Any) -> Accept:
        decision = self.send(kind, data, **more)
        assert isinstance(decision, Accept), decision
        return decision

    def reject(self, kind: str, data: dict[str, Any], **more: Any) -> Reject:
        decision = self.send(kind, data, **more)
        assert isinstance(decision, Reject), decision
        return decision

    def park(self, kind: str, data: dict[str, Any], **more: Any) -> Park:
        decision = self.send(kind, data, **more)
        assert isinstance(decision, Park), decision
        return decision
