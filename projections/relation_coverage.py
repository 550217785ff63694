"""The matrix in short and its coverage, as the view of a relation shows them: their layers × ours. Pure.

Required is what the lines that run today ask for (those of the tier's policy among them, see `relation_lines`); actual
is the contact of the last twelve months. The whole matrix with its lines is `relation_matrix`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from projections.institution import Institution, Terms
from projections.layers import LAYERS, pair_bit
from projections.rows import Row

_NOT_OWED: Final = frozenset({"ended", "paused", "not_started"})


def matrix_in_short(schedule: Sequence[dict[str, Any]], recent: Sequence[Row]) -> list[dict[str, Any]]:
    """[{their_layer, our_layer, required, lines, contacts_12m, minutes_12m, vacant, covered}] of the pairs with a line
    or contact, their layers first. `covered` None: nothing is asked for. `recent`: contacts of twelve months."""
    cells: list[dict[str, Any]] = []
    for their in LAYERS:
        for our in LAYERS:
            bit = pair_bit(our, their)
            met = [c for c in recent if c["pairs"] & bit]
            owed = [
                line for line in schedule
                if (line["our_layer"], line["their_layer"]) == (our, their) and line["state"] not in _NOT_OWED
            ]  # fmt: skip
            if met or owed:
                vacant = any(line["state"] == "vacant" for line in owed)
                cells.append({
                    "their_layer": their, "our_layer": our, "required": bool(owed),
                    "lines": [line["line"] for line in owed], "contacts_12m": len(met),
                    "minutes_12m": sum(c["minutes"] for c in met), "vacant": vacant,
                    "covered": (bool(met) and not vacant) if owed else None,
                })  # fmt: skip
    return cells


def coverage_of(
    cells: Sequence[dict[str, Any]], links: Sequence[Row], institution: Institution, tier: str | None, today: date
) -> dict[str, Any]:
    """{required, covered, vacant, share, policy, links}: of the pairs that are asked for, how many had contact in
    twelve months. `policy`: what the tier's policy of today asks for, and which of its pairs have no contact.
    `links` as they were assessed, person by person; `link_counts` how many are none, thin, adequate or strong."""
    required = [c for c in cells if c["required"]]
    covered = [c for c in required if c["covered"]]
    actual = {(c["our_layer"], c["their_layer"]) for c in cells if c["contacts_12m"]}
    policy = institution.policy(tier, today)
    terms: Sequence[Terms] = () if policy is None else policy.terms
    counts = dict.fromkeys(("none", "thin", "adequate", "strong"), 0)
    for one in links:
        counts[one["coverage"]] += 1
    return {
        "required": len(required),
        "covered": len(covered),
        "vacant": sum(1 for c in required if c["vacant"]),
        "share": round(len(covered) / len(required), 4) if required else None,
        "policy": None if policy is None else {
            "tier": policy.tier, "policy_version": policy.version, "effective_on": policy.effective_on.isoformat(),
            "pairs": [
                {
                    "our_layer": t.our_layer, "their_layer": t.their_layer, "cadence": dict(t.cadence),
                    "covered": (t.our_layer, t.their_layer) in actual,
                }
                for t in terms
            ],
            "evidence": [policy.position],
        },
        "link_counts": counts,
        "links": [
            {
                "ours": one["ours"], "theirs": one["theirs"], "coverage": one["coverage"], "basis": one["basis"],
                "assessed_on": one["assessed_on"].isoformat(), "evidence": [one["position"]],
            }
            for one in links
        ],
    }  # fmt: skip
