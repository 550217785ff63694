"""Verdicts and problems: what a department hears about every event (INTERFACE section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from events.errors import FieldError

VerdictName = Literal["accepted", "duplicate", "parked", "rejected", "busy"]

# code -> (HTTP status, English title). The status is the first that applies of INTERFACE section 3.
PROBLEMS: Final[dict[str, tuple[int, str]]] = {
    "too_large": (413, "Too large"),
    "unsupported_media_type": (415, "Unsupported media type"),
    "unauthenticated": (401, "Not signed in"),
    "authority": (403, "Not yours to publish"),
    "schema": (400, "The event breaks its contract"),
    "unknown_type": (400, "Unknown event type"),
    "patient_data": (400, "Data about a patient"),
    "scale": (400, "Outside the scale of the instrument"),
    "rule": (400, "Against a rule of the book"),
    "conflict": (409, "Someone else changed this first"),
    "content_conflict": (409, "Same source and id, other content"),
    "identifier_taken": (409, "The identifier belongs to another relation"),
    "id_taken": (409, "The id is in use"),
    "erased_person": (400, "About a person who was erased"),
    "on_hold": (409, "A legal hold forbids it"),
    "expired": (400, "What it waited for never came"),
    "not_found": (404, "Not found"),
    "busy": (429, "Busy"),
    "unavailable": (503, "An engine is out"),
    "unknown_relation": (202, "Waits for a relation"),
    "unknown_contact": (202, "Waits for a contact"),
    "unknown_line": (202, "Waits for a schedule line"),
    "unknown_plan": (202, "Waits for a plan"),
    "unknown_action": (202, "Waits for an action"),
    "unknown_commitment": (202, "Waits for a commitment"),
    "unknown_opportunity": (202, "Waits for an opportunity"),
    "unknown_agreement": (202, "Waits for an agreement"),
    "unknown_programme": (202, "Waits for a programme"),
    "unknown_chain": (202, "Waits for a chain"),
    "unknown_interest": (202, "Waits for an interest"),
    "unknown_performance": (202, "Waits for a performance"),
    "unknown_response": (202, "Waits for a response"),
    "unknown_loop": (202, "Waits for a loop"),
    "unknown_team": (202, "Waits for a team"),
    "unknown_instrument": (202, "Waits for an instrument"),
    "unknown_alert": (202, "Waits for an alert"),
    "unknown_event": (202, "Waits for an event"),
    "not_yet": (202, "Waits for what later facts can make true"),
}


def problem(code: str, errors: Sequence[FieldError], **more: Any) -> dict[str, Any]:
    """An RFC 9457 problem document. `errors` names every field that is wrong, with what to do."""
    status, title = PROBLEMS[code]
    detail = "; ".join(e.detail for e in errors[:3]) or title
    return {
        "type": f"urn:relatieboek:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "errors": [{"pointer": e.pointer, "detail": e.detail} for e in errors],
        **more,
    }


class Verdict(msgspec.Struct, frozen=True):
    """The answer to one event. Only fields that apply are in its JSON form."""

    verdict: VerdictName
    id: str | None
    source: str | None
    position: int | None = None
    relation: str | None = None
    version: int | None = None
    leaf_hash: str | None = None
    survivor: str | None = None
    problem: dict[str, Any] | None = None
    retry_after_s: float | None = None

    def as_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {"id": self.id, "source": self.source, "verdict": self.verdict}
        if self.position is not None:
            out["sequence"] = f"{self.position:020d}"
        for name in ("relation", "version", "leaf_hash", "survivor", "problem", "retry_after_s"):
            value = getattr(self, name)
            if value is not None:
                out[name] = value
        return out
