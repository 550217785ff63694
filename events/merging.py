"""The rules of merges: who absorbs whom, and that it can be undone (SPEC section 3, `relation.merged`).

The thing `alias:<absorbed>` says whose relation it is now: {"survivor": UUID, or null once unmerged, "occurred": …}.
Chains may be as deep as they come; the walk up a chain looks at keys that no template can name beforehand, which
`events.lookups` loads on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from events.book import Case, Decision, Look, Park, Reject, Rule, Thing, Value
from events.catalog import Submission
from events.errors import FieldError
from events.identity import is_uuid, relation_key, subject_key
from events.recorded import instant, iso

# More links than this make no chain of reorganisations but a mistake; it also bounds the look-ups of one event.
MOST_LINKS: Final = 40
_ATTENTION: Final = "attention:{relation}"


def alias_key(relation: str) -> str:
    return f"alias:{relation}"


def resolved(reference: str, department: str, look: Look) -> str | None:
    """The UUID of the relation that a payload names as UUID or `<scheme>:<value>`; None: the book knows it not yet."""
    key = subject_key(reference, department)
    thing = look(key)
    if thing is None:
        return None
    return key.removeprefix("relation:") if key.startswith("relation:") else str(thing.value["relation"])


def _survivor_of(alias: Thing | None) -> str | None:
    return None if alias is None else alias.value["survivor"]


def _pair(case: Case) -> tuple[str, str]:
    """The UUIDs of survivor and absorbed; the checks have seen to it that both are known."""
    data = case.event.data
    survivor, absorbed = (resolved(data[name], case.department, case.look) for name in ("survivor", "absorbed"))
    assert survivor is not None
    assert absorbed is not None
    return survivor, absorbed


def _both_known(case: Case) -> Decision | None:
    data = case.event.data
    names = [n for n in ("survivor", "absorbed") if resolved(data[n], case.department, case.look) is None]
    if names:
        detail = "the book does not know this relation yet; the event is kept, and accepted once it is registered"
        waits_for = tuple(subject_key(data[n], case.department) for n in names)
        return Park("unknown_relation", waits_for, tuple(FieldError(f"/data/{n}", detail) for n in names))
    survivor, absorbed = _pair(case)
    if survivor != case.relation:
        detail = f"the subject of this event is its survivor; the subject is relation {case.relation}, this {survivor}"
        return _refused("survivor", detail)
    if survivor == absorbed:
        return _refused("absorbed", "a relation cannot absorb itself; name the one that was absorbed")
    known = case.look(alias_key(absorbed))
    if known is not None and iso(instant(case.event.data["occurred_on"])) < known.value["occurred"]:
        before = known.value["occurred"][:10]
        detail = f"what this follows on occurred later ({before} UTC or after); give the day on which this took effect"
        return Reject("rule", (FieldError("/data/occurred_on", detail),), known.position)
    return None


def _mergeable(case: Case) -> Decision | None:
    refused = _both_known(case)
    if refused is not None:
        return refused
    survivor, absorbed = _pair(case)
    known = case.look(alias_key(absorbed))
    other = _survivor_of(known)
    if known is not None and other is not None:
        detail = f"this relation was absorbed by relation {other} before; unmerge it there first, or merge {other}"
        return Reject("rule", (FieldError("/data/absorbed", detail),), known.position, {"survivor": other})
    above: str | None = survivor
    for _ in range(MOST_LINKS):
        alias = case.look(alias_key(above))
        above = _survivor_of(alias)
        if above is None:
            return None
        if above == absorbed:
            detail = f"relation {absorbed} has absorbed the survivor, directly or in a chain; unmerge that first"
            return Reject("rule", (FieldError("/data/absorbed", detail),), alias.position if alias else None)
    return _refused("survivor", f"the survivor stands below a chain of more than {MOST_LINKS} merges")


def _unmergeable(case: Case) -> Decision | None:
    refused = _both_known(case)
    if refused is not None:
        return refused
    survivor, absorbed = _pair(case)
    known = case.look(alias_key(absorbed))
    other = _survivor_of(known)
    if other == survivor:
        return None
    if other is None:
        return _refused("absorbed", "this relation is not merged into another one, so there is nothing to undo", known)
    detail = f"this relation was absorbed by relation {other}, not by this one; give that one as subject and survivor"
    return _refused("absorbed", detail, known)


def _refused(field: str, detail: str, by: Thing | None = None) -> Reject:
    return Reject("rule", (FieldError(f"/data/{field}", detail),), by.position if by else None)


def _alias(case: Case) -> Mapping[str, Value]:
    survivor, absorbed = _pair(case)
    merged = case.event.event_type.kind == "relation.merged"
    occurred = iso(instant(case.event.data["occurred_on"]))
    return {alias_key(absorbed): {"survivor": survivor if merged else None, "occurred": occurred}}


def _absorbed(case: Case) -> Mapping[str, str]:
    return {"absorbed": _pair(case)[1]}


def _named(event: Submission, relation: str) -> list[str]:
    """What can be foreseen: both relations where they are named by UUID, and the survivor's own alias."""
    absorbed, survivor = str(event.data["absorbed"]), str(event.data["survivor"])
    uuids = [ref.lower() for ref in (absorbed, survivor) if is_uuid(ref)]
    return [alias_key(relation), *map(alias_key, uuids), *map(relation_key, uuids)]


MERGING: Final[dict[str, Rule]] = {
    "relation.merged": Rule(
        marks=(_ATTENTION,), reads=_named, check=_mergeable, values=_alias, attributes=_absorbed
    ),
    "relation.unmerged": Rule(
        marks=(_ATTENTION,), reads=_named, check=_unmergeable, values=_alias, attributes=_absorbed
    ),
}  # fmt: skip
