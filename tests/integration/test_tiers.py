"""The institution's own tiers, through the door (SPEC section 1: the set is configurable)."""

from __future__ import annotations

from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.book import Department, Json, connection, registered, running_intake

SOURCE = "urn:nld:kvk:27184233:systeem:crm"


def assigned(tier: str) -> Json:
    return {"tier": tier, "arguments": [], "occurred_on": "2026-01-06"}


async def test_a_tier_is_one_of_the_settings_also_after_waiting(settings: Settings, department: AddDepartment) -> None:
    added = await department("crm", sources=[SOURCE])
    own = settings.model_copy(update={"tiers": "A,C"})
    async with running_intake(own), connection(own, added.nats) as client:
        crm = Department("crm", client, SOURCE)
        waiting = await crm.send(crm.event("relation.tier_assigned", assigned("C"), subject="gemeentecode:0518"))
        assert waiting["verdict"] == "parked"
        refused = await crm.send(crm.event("relation.tier_assigned", assigned("B")))
        assert refused["verdict"] == "rejected"
        assert "A, C" in refused["problem"]["detail"]
        first = await crm.send(crm.event("relation.registered", registered()))
        taken = await crm.send(crm.event("relation.tier_assigned", assigned("C") | {"occurred_on": "2026-02-06"}))
    assert (taken["verdict"], taken["version"]) == ("accepted", first["version"] + 2)
