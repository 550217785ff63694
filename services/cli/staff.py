"""What is counted of our own people: totals, never one colleague."""

from __future__ import annotations

from services.cli.console import print_json, print_list, print_table
from services.cli.instance import find
from services.cli.options import DataDir, Json


def contributors(json: Json = False, data_dir: DataDir = None) -> None:
    """Toon hoeveel collega's bijdragen, per profiel, en wat de relaties van ons vragen."""
    document = find(data_dir).get("/v1/contributors")
    if json:
        print_json(document)
        return
    print_table("Wie bijdraagt", (
        ("profile", "Profiel"), ("stage", "Fase"), ("people", "Collega's"),
    ), document["contributors"])  # fmt: skip
    print_table("Wat relaties vragen", (
        ("tier", "Niveau"), ("our_layer", "Onze laag"), ("lines", "Regels"),
        ("contacts_per_year", "Contacten per jaar"),
    ), document["asked"])  # fmt: skip


def staff_satisfaction(json: Json = False, data_dir: DataDir = None) -> None:
    """Toon hoe tevreden onze eigen mensen zijn, per eenheid en periode."""
    document = find(data_dir).get("/v1/staff-satisfaction")
    print_list("Tevredenheid van onze mensen", (
        ("unit", "Eenheid"), ("period", "Periode"), ("n", "Aantal"), ("score", "Score"),
        ("retention_pct", "Blijft (%)"), ("evidence", "Posities"),
    ), document, json)  # fmt: skip
