"""What `relation show --part` prints of each part of a relation: its fields, and a table for each of its lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from services.cli.brief import brief
from services.cli.console import cell, note, print_fields, print_table

Columns = tuple[tuple[str, str], ...]


class Part(StrEnum):
    """The path after `/v1/relations/{id}/`."""

    MATRIX = "matrix"
    SCHEDULE = "schedule"
    PLAN = "plan"
    SATISFACTION = "satisfaction"
    AGREEMENTS = "agreements"
    CHAIN = "chain"
    PARTNERSHIP = "partnership"
    OPPORTUNITIES = "opportunities"
    ATTENTION = "attention"


class _Table(NamedTuple):
    field: str
    title: str
    columns: Columns


_EVIDENCE: Final = ("evidence", "Posities")
LINES: Final = (
    ("layers", "Wie met wie"), ("cadence", "Hoe vaak"), ("state", "Stand"), ("last_contact_on", "Laatste contact"),
    ("due_on", "Uiterlijk"), ("overdue_on", "Te laat vanaf"), ("owner", "Eigenaar"), ("line", "Regel"),
)  # fmt: skip
FIGURES: Final = (
    ("instrument", "Meting"), ("wording_version", "Versie"), ("n", "Aantal"), ("mean", "Gemiddelde"), ("nps", "NPS"),
)  # fmt: skip
_KNOWN: Final = (
    ("text", "Wat"), ("known_since", "Bekend sinds"), ("acknowledged", "Erkend"), ("acknowledged_by", "Erkend door"),
    _EVIDENCE,
)  # fmt: skip
TABLES: Final[Mapping[Part, tuple[_Table, ...]]] = {
    Part.MATRIX: (
        _Table("cells", "Wie heeft contact met wie, twaalf maanden", (
            ("layers", "Wie met wie"), ("state", "Stand"), ("required", "Regels"), ("contacts_12m", "Contacten"),
            ("minutes_12m", "Minuten"), ("last_at", "Laatste"),
        )),
        _Table("counterparts", "Contactpersonen", (("layer", "Hun laag"), ("people", "Wie"))),
    ),
    Part.SCHEDULE: (_Table("items", "Contactschema", LINES),),
    Part.PLAN: (
        _Table("questions", "Antwoorden", (
            ("question", "Vraag"), ("answer", "Antwoord"), ("answered_on", "Beantwoord"),
        )),
        _Table("actions", "Acties", (
            ("action", "Actie"), ("what", "Wat"), ("owner", "Eigenaar"), ("due_on", "Uiterlijk"), ("state", "Stand"),
            ("late", "Te laat"),
        )),
        _Table("history", "Wie gaf welk antwoord", (
            ("position", "Positie"), ("question", "Vraag"), ("answered_on", "Beantwoord"), ("department", "Afdeling"),
            ("actor", "Wie"), ("stands", "Geldt"), ("changes", "Wat er veranderde"),
        )),
        _Table("plans", "Alle plannen", (
            ("plan", "Plan"), ("started_on", "Begonnen"), ("state", "Stand"), ("superseded_by", "Vervangen door"),
        )),
    ),
    Part.SATISFACTION: (
        _Table("items", "Tevredenheid", (
            *FIGURES, ("low_share", "Deel laag"), ("trend", "Per kwartaal"), ("direction", "Richting"), _EVIDENCE,
        )),
        _Table("loops", "Opvolging van lage scores", (
            ("instrument", "Meting"), ("state", "Stand"), ("due_on", "Uiterlijk"), ("late", "Te laat"),
            ("owner", "Eigenaar"), _EVIDENCE,
        )),
        _Table("rounds", "Meetrondes", (
            ("round", "Ronde"), ("instrument", "Meting"), ("wording_version", "Versie"), ("closed_on", "Gesloten"),
            ("n", "Aantal"), ("mean", "Gemiddelde"), ("nps", "NPS"),
        )),
        _Table("complaints", "Klachten", (
            ("period", "Periode"), ("count", "Aantal"), ("resolved", "Opgelost"), _EVIDENCE,
        )),
        _Table("outcomes", "Uitkomsten", (
            ("indicator", "Waarover"), ("period", "Periode"), ("value", "Waarde"), ("unit", "Eenheid"), ("n", "Aantal"),
            _EVIDENCE,
        )),
    ),
    Part.AGREEMENTS: (
        _Table("agreements", "Overeenkomsten", (
            ("agreement", "Overeenkomst"), ("type", "Soort"), ("name", "Naam"), ("state", "Stand"), ("from", "Vanaf"),
            ("until", "Tot en met"), ("ends_in_days", "Dagen tot het einde"), ("frame", "Kader"), _EVIDENCE,
        )),
        _Table("programmes", "Programma's", (
            ("programme", "Programma"), ("name", "Naam"), ("state", "Stand"), ("rag", "Stoplicht"),
            ("red_without_decision", "Rood zonder besluit"), ("decisions", "Bijgestuurd"), ("ends_on", "Eindigt"),
            _EVIDENCE,
        )),
    ),
    Part.CHAIN: (
        _Table("phases", "Fasen", (
            ("phase", "Fase"), ("name", "Naam"), ("partners", "Partners"), ("guarantors", "Wie staat garant"),
            ("without_guarantor", "Zonder garantie"),
        )),
        _Table("matrix", "Wie investeert en wie wint", (
            ("organisation_name", "Organisatie"), ("financing_system", "Financiering"),
            ("invested_cents", "Investeert"), ("returned_cents", "Krijgt terug"), ("shared_cents", "Gedeeld"),
            ("net_cents", "Per saldo"), ("role", "Wie"), _EVIDENCE,
        )),
        _Table("baseline", "Uitgangspunt", (
            ("indicator", "Waarover"), ("period", "Periode"), ("cents", "Bedrag"), ("agreed_on", "Afgesproken"),
            _EVIDENCE,
        )),
        _Table("sharing_key", "Verdeelsleutel", (
            ("organisation_name", "Organisatie"), ("share_pct", "Deel (%)"),
        )),
        _Table("savings", "Besparingen", (
            ("period", "Periode"), ("saving_cents", "Besparing"), ("quality_met", "Kwaliteit gehaald"),
            ("distributed_on", "Verdeeld"), ("amounts", "Over wie"), _EVIDENCE,
        )),
    ),
    Part.PARTNERSHIP: (
        _Table("interests", "Belangen", (("holder", "Van wie"), *_KNOWN)),
        _Table("performances", "Prestaties", (("by", "Van wie"), ("period", "Periode"), *_KNOWN)),
        _Table("commitments", "Toezeggingen", (
            ("by", "Door"), ("what", "Toezegging"), ("due_on", "Uiterlijk"), ("state", "Stand"), ("late", "Te laat"),
            ("days_late", "Dagen te laat"), _EVIDENCE,
        )),
    ),
    Part.OPPORTUNITIES: (
        _Table("items", "Kansen", (
            ("title", "Wat"), ("state", "Stand"), ("value_cents", "Waarde"), ("announced_on", "Aangekondigd"),
            ("decided_on", "Besloten"), ("reason", "Reden"), ("relation_then", "De relatie toen"), _EVIDENCE,
        )),
    ),
    Part.ATTENTION: tuple(
        _Table(f"by_{name}", title, ((name, title), ("contacts", "Contacten"), ("minutes", "Minuten")))
        for name, title in (("kind", "Soort contact"), ("channel", "Kanaal"), ("layer", "Onze laag"))
    ),
}  # fmt: skip


# What stands above the tables, of whichever part has it.
HEAD: Final[Columns] = (
    ("tier", "Niveau"), ("plan", "Plan"), ("state", "Stand"), ("template", "Sjabloon"), ("horizon_on", "Loopt tot"),
    ("drafted_on", "Begonnen"), ("approved_on", "Goedgekeurd"), ("age_days", "Dagen oud"),
    ("superseded_on", "Vervangen op"), ("superseded_by", "Vervangen door"), ("answered", "Vragen beantwoord"),
    ("actions_open", "Acties open"), ("actions_late", "Acties te laat"), ("loops_open", "Opvolgingen open"),
    ("loops_late", "Opvolgingen te laat"), ("since", "Na"), ("until", "Tot en met"), ("contacts", "Contacten"),
    ("minutes", "Minuten"), ("chain", "Keten"), ("defined_on", "Begonnen"), ("sharing_key_on", "Verdeelsleutel van"),
    ("evidence", "Posities"), ("absorbed", "Opgegaan in deze relatie"), ("position", "Positie"),
)  # fmt: skip


def print_part(part: Part, ident: str, document: Mapping[str, Any]) -> None:
    """What HTTP answered, in tables; a chain each its own."""
    tables = TABLES[part]
    _print_head(str(document.get("relation_name") or ident), document)
    if part is not Part.CHAIN:
        _print_tables(tables, document)
    elif not document["chains"]:
        print_table("Ketens", (), [])
    for chain in document["chains"] if part is Part.CHAIN else ():
        _print_head(chain["name"], brief(chain))
        _print_tables(tables, chain)
    if document.get("next"):
        note(f"Er is meer: voeg toe --cursor {document['next']}")


def _print_head(name: str, document: Mapping[str, Any]) -> None:
    print_fields(name, [(label, cell(document[m], m)) for m, label in HEAD if document.get(m) not in (None, [])])


def _print_tables(tables: Sequence[_Table], document: Mapping[str, Any]) -> None:
    for table in tables:
        print_table(table.title, table.columns, map(brief, document[table.field]))
