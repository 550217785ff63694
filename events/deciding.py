"""One arrival judged against what a batch knows: duplicate, accepted, parked or rejected. No I/O.

What it needs and the batch lacks it asks for (NotLoaded, NotLookedUp) before it changes anything; `events.lookups`
answers that.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import msgspec
import orjson

from events import erasing
from events.batch import ACCEPTED, DUPLICATE, LATE, PARKED, REJECTED, Batch
from events.book import Accept, Decision, Park, Reject, Thing, decide
from events.catalog import Submission
from events.clock import system_now
from events.errors import FieldError
from events.patient import without_bsn
from events.privacy import REF, Privacy, content_mac, new_event_key, seal
from events.proof import GENESIS
from events.recording import People, content_of, record
from events.rules import RULES
from events.verdict import Verdict, problem
from events.withdrawing import event_key, event_thing

_LATE_AFTER: Final = timedelta(days=7)
_OWN: Final = "relatieboek"


class Arrival(msgspec.Struct, frozen=True):
    """One event at a door: as sent, and either its validated submission or the refusal that needed no state.

    `sent` is its JSON text, or its value when it came in an array: most events are never written out again.
    """

    department: str
    sent: bytes | dict[str, Any]
    submission: Submission | None
    refusal: Reject | None = None
    source: str | None = None
    id: str | None = None
    type: str | None = None

    @property
    def raw(self) -> bytes:
        """The event as JSON text."""
        return self.sent if isinstance(self.sent, bytes) else orjson.dumps(self.sent)


class Judge:
    """Judges one arrival after the other; what it decides becomes part of the batch."""

    def __init__(self, privacy: Privacy, people: People) -> None:
        self._privacy, self._people = privacy, people

    def judge(self, batch: Batch, arrival: Arrival) -> Verdict:
        sub = arrival.submission
        if sub is None or arrival.refusal is not None:
            return self._reject(batch, arrival, arrival.refusal or Reject("schema", ()))
        content = content_of(sub)
        seen = batch.seen.get((sub.source, sub.id))
        if seen is not None:
            first, key, mac = seen
            same = arrival.department == _OWN or key is None or mac is None or content_mac(key, content) == mac
            if same:
                batch.count(arrival.department, DUPLICATE)
                first = _again(first) if first.verdict == "accepted" else first
                survivor = batch.survivor(first.relation)
                return first if survivor is None else msgspec.structs.replace(first, survivor=survivor)
            return self._reject(batch, arrival, _other_content(first))
        decision = self._decide(batch, arrival, sub, on_arrival=True)
        if isinstance(decision, Accept):
            return self._accept(batch, arrival, sub, decision, content)
        if isinstance(decision, Park):
            return self._park(batch, arrival, sub, decision, content)
        return self._reject(batch, arrival, decision)

    def to_erase(self, sub: Submission) -> str | None:
        """The reference of the person whom this event erases."""
        if sub.event_type.kind != erasing.PERSON_ERASED:
            return None
        named: str = sub.data["person"]
        return named if named.startswith(REF) else self._people.of("person", named).ref

    def _decide(self, batch: Batch, arrival: Arrival, sub: Submission, *, on_arrival: bool) -> Decision:
        if pointers := self._people.names_erased(sub):
            return Reject("erased_person", tuple(FieldError(p, erasing.DETAIL) for p in pointers))
        if batch.held and self.to_erase(sub) in batch.held:
            return Reject("on_hold", (FieldError("/data/person", "a legal hold forbids to erase this person now"),))
        rule = RULES[sub.event_type.kind]
        look = batch.look
        pseudonym = self._people.pseudonym
        return decide(rule, sub, arrival.department, look, batch.now, pseudonym, on_arrival=on_arrival)

    def retry(self, batch: Batch, parked: Any, arrival: Arrival) -> Verdict | None:
        """Judges a parked event again; None when it still waits."""
        sub = arrival.submission
        assert sub is not None
        decision = self._decide(batch, arrival, sub, on_arrival=False)
        if isinstance(decision, Park):
            text = orjson.dumps(problem(decision.code, decision.errors)).decode()
            batch.reparked.append((parked["arrival"], list(decision.waits_for), text))
            return None
        batch.seen.pop((sub.source, sub.id), None)
        if isinstance(decision, Reject):
            verdict = self._reject(batch, arrival, decision)
        else:
            verdict = self._accept(batch, arrival, sub, decision, content_of(sub))
        batch.unparked.append(parked["arrival"])
        return verdict

    def _accept(self, batch: Batch, arrival: Arrival, sub: Submission, decision: Accept, content: bytes) -> Verdict:
        version, prev = batch.chains.get(decision.relation, (0, GENESIS))
        key = new_event_key()
        stored = record(
            sub, department=arrival.department, relation=decision.relation, position=batch.position + 1,
            version=version + 1, prev=prev, now=batch.now, recorded=batch.recorded, key=key,
            mac=content_mac(key, content), people=self._people, made=decision.attributes,
        )  # fmt: skip
        batch.position += 1
        batch.entries.append(stored)
        work = erasing.work_of(sub.event_type.kind, sub.data, stored.position, self.to_erase(sub))
        if work is not None:
            batch.works.append(work)
            if work.ref is not None:
                self._people.erase(work.ref, batch.erasing.get(work.ref))
        batch.chains[decision.relation] = (stored.version, stored.leaf)
        for k, value in decision.touched.items():
            batch.things[k] = Thing(value, stored.version, stored.position)
            batch.touched.add(k)
        named = event_key(sub.source, sub.id)
        if named in batch.things:  # a withdrawal later in this batch names it
            kind = sub.event_type.kind
            batch.things[named] = event_thing(
                kind, decision.relation, arrival.department, sub.data, stored.version, stored.position
            )
        merged = decision.attributes.get("absorbed")
        if merged is not None:
            kind = sub.event_type.kind
            batch.absorbed[merged] = batch.merges[merged] = decision.relation if kind == "relation.merged" else None
        verdict = Verdict(
            "accepted", sub.id, sub.source, stored.position, decision.relation, stored.version, stored.leaf.hex(),
            survivor=batch.survivor(decision.relation),
        )  # fmt: skip
        batch.seen[(sub.source, sub.id)] = (verdict, key, stored.content_mac)
        batch.count(arrival.department, ACCEPTED)
        if batch.now - stored.occurred_at > _LATE_AFTER:
            batch.count(arrival.department, LATE)
        return verdict

    def _park(self, batch: Batch, arrival: Arrival, sub: Submission, decision: Park, content: bytes) -> Verdict:
        document = problem(decision.code, decision.errors)
        key = new_event_key()
        mac = content_mac(key, content)
        sealed = seal(key, arrival.raw, b"parked")
        batch.parked.append(
            (arrival.department, sub.source, sub.id, sub.type, list(decision.waits_for),
             orjson.dumps(document).decode(), system_now(), sealed, key, mac)
        )  # fmt: skip
        verdict = Verdict("parked", sub.id, sub.source, problem=document)
        batch.seen[(sub.source, sub.id)] = (verdict, key, mac)
        batch.count(arrival.department, PARKED)
        return verdict

    def _reject(self, batch: Batch, arrival: Arrival, decision: Reject) -> Verdict:
        document = problem(decision.code, decision.errors, **decision.more)
        if decision.conflict is not None:
            document["conflicting"] = {"sequence": f"{decision.conflict:020d}"}
        sub = arrival.submission
        source, id_, type_ = (sub.source, sub.id, sub.type) if sub else (arrival.source, arrival.id, arrival.type)
        if arrival.department == _OWN and decision.code == "conflict":
            # The book's own services lost a race and evaluate again: nothing to keep, nothing to count.
            return Verdict("rejected", id_, source, problem=document)
        # What may not be kept: data of a patient, and of somebody who was erased.
        names = (
            decision.of_patient
            or decision.code == "erased_person"
            or (bool(self._people.erased) and erasing.names(self._privacy, arrival.raw, self._people.erased))
        )
        key = None if names else new_event_key()
        sealed = None if key is None else seal(key, arrival.raw, b"rejected")
        kept = tuple(map(without_bsn, (source, id_, type_))) if decision.of_patient else (source, id_, type_)
        batch.rejected.append((arrival.department, *kept, decision.code, document, system_now(), sealed, key))
        batch.count(arrival.department, REJECTED)
        return Verdict("rejected", id_, source, problem=document)


def _again(verdict: Verdict) -> Verdict:
    return Verdict(
        "duplicate", verdict.id, verdict.source, verdict.position, verdict.relation, verdict.version, verdict.leaf_hash
    )


def _other_content(first: Verdict) -> Reject:
    detail = (
        "this source and id were used for an event with other content; "
        "an event never changes: send the change as a new event with a new id"
    )
    return Reject("content_conflict", (FieldError("/id", detail),), conflict=first.position)
