"""`relatieboek question N`: one of the ten questions, answered by the book in one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from services.cli.brief import brief
from services.cli.console import note, print_json, print_table
from services.cli.instance import find
from services.cli.options import Cursor, DataDir, Json, day_or_moment, position_or_moment
from services.cli.parts import FIGURES, Columns
from services.cli.whole import print_alert

_RELATION: Final = (("relation_name", "Relatie"), ("tier", "Niveau"))
_OVERDUE: Final = (
    *_RELATION, ("layers", "Wie met wie"), ("cadence", "Hoe vaak"), ("state", "Stand"), ("due_on", "Uiterlijk"),
    ("working_days_overdue", "Werkdagen te laat"), ("owner", "Eigenaar"), ("line", "Regel"), ("evidence", "Posities"),
)  # fmt: skip
_MEETING: Final = (
    *_RELATION, ("layers", "Wie met wie"), ("state", "Stand"), ("cadence", "Hoe vaak"),
    ("contacts_12m", "Contacten (12 mnd)"), ("last_on", "Laatste contact"), ("owner", "Eigenaar"), ("line", "Regel"),
    ("evidence", "Posities"),
)  # fmt: skip
_HISTORY: Final = (
    ("position", "Positie"), ("occurred_at", "Gebeurd"), ("recorded_at", "Vastgelegd"), ("title", "Wat"),
    ("department", "Afdeling"),
)  # fmt: skip
_LACKING: Final = (*_RELATION, ("lacks", "Wat ontbreekt"), ("owner", "Eigenaar"))
_PROMISES: Final = (
    *_RELATION, ("by", "Door"), ("what", "Toezegging"), ("due_on", "Uiterlijk"), ("state", "Stand"),
    ("late", "Te laat"), ("days_late", "Dagen te laat"), ("evidence", "Posities"),
)  # fmt: skip
_ATTENTION: Final = (
    ("tier", "Niveau"), ("relations", "Relaties"), ("contacts", "Contacten"), ("minutes", "Minuten"),
    ("by_kind", "Naar soort"), ("by_layer", "Naar laag"), ("position", "Tot positie"),
)  # fmt: skip
_FIGURES: Final = (
    *FIGURES, ("low_share", "Deel laag"), ("trend", "Per kwartaal"), ("direction", "Richting"),
)  # fmt: skip
_LOOPS: Final = (
    ("instrument", "Meting"), ("state", "Stand"), ("due_on", "Uiterlijk"), ("late", "Te laat"), ("owner", "Eigenaar"),
    ("evidence", "Posities"),
)  # fmt: skip
_PROGRAMMES: Final = (
    ("relation_name", "Relatie"), ("coalition", "Overeenkomst"), ("name", "Programma"), ("rag", "Stoplicht"),
    ("decisions", "Bijgestuurd"), ("ends_on", "Eindigt"), ("evidence", "Posities"),
)  # fmt: skip
_POCKETS: Final = (
    ("organisation_name", "Organisatie"), ("financing_system", "Financiering"), ("invested_cents", "Investeert"),
    ("returned_cents", "Krijgt terug"), ("shared_cents", "Gedeeld"), ("net_cents", "Per saldo"), ("role", "Wie"),
    ("evidence", "Posities"),
)  # fmt: skip
_EVIDENCE: Final = (
    ("position", "Positie"), ("occurred_at", "Gebeurd"), ("title", "Wat"), ("department", "Afdeling"),
)  # fmt: skip
_SOURCES: Final = (
    ("department", "Afdeling"), ("last_event_at", "Laatste gebeurtenis"), ("working_days_silent", "Werkdagen stil"),
    ("silent", "Te lang stil"),
)  # fmt: skip
_TABLES: Final[Mapping[int, tuple[str, Columns]]] = {
    1: ("Regels die te laat zijn", _OVERDUE),
    2: ("Wie heeft contact met wie", _MEETING),
    3: ("Geschiedenis", _HISTORY),
    4: ("A-relaties die iets missen", _LACKING),
    5: ("Toezeggingen", _PROMISES),
    6: ("Aandacht per niveau", _ATTENTION),
    7: ("Tevredenheid", _FIGURES),
    8: ("Programma's en coalities", _PROGRAMMES),
    9: ("Wie investeert en wie wint", _POCKETS),
}


def question(
    number: Annotated[int, typer.Argument(metavar="N", min=1, max=10, help="Nummer van de vraag.")],
    relation: Annotated[str | None, typer.Option(help="Van deze relatie: UUID of <soort>:<waarde>.")] = None,
    team: Annotated[str | None, typer.Option(help="Alleen relaties van dit team.")] = None,
    tier: Annotated[str | None, typer.Option(help="Alleen relaties van dit niveau, zoals A.")] = None,
    owner: Annotated[str | None, typer.Option(help="Vraag 1: alleen regels van deze medewerker.")] = None,
    unowned: Annotated[
        bool | None, typer.Option("--unowned/--owned", help="Vraag 1: alleen regels van niemand, of juist van iemand.")
    ] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Vraag 3: zoals het was op dit moment.")] = None,
    known_at: Annotated[str | None, typer.Option("--known-at", help="Vraag 3: zoals het boek het toen wist.")] = None,
    by: Annotated[str | None, typer.Option(help="Vraag 5: wie beloofde het, us of them.")] = None,
    late: Annotated[bool | None, typer.Option("--late/--not-late", help="Vraag 5: alleen wat te laat is.")] = None,
    state: Annotated[str | None, typer.Option(help="Vraag 2, 5 en 8: alleen met deze stand.")] = None,
    rag: Annotated[str | None, typer.Option(help="Vraag 8: red, amber of green.")] = None,
    ends_before: Annotated[str | None, typer.Option(help="Vraag 8: wat voor deze dag eindigt.")] = None,
    chain: Annotated[str | None, typer.Option(help="Vraag 9: alleen deze keten.")] = None,
    organisation: Annotated[str | None, typer.Option(help="Vraag 9: us, een UUID of <soort>:<waarde>.")] = None,
    financing_system: Annotated[str | None, typer.Option(help="Vraag 9: alleen dit stelsel, zoals wmo.")] = None,
    period: Annotated[str | None, typer.Option(help="Vraag 9: alleen deze periode, zoals 2026.")] = None,
    kind: Annotated[str | None, typer.Option(help="Vraag 6: alleen contact van deze soort, zoals offer.")] = None,
    alert: Annotated[str | None, typer.Option(help="Vraag 10: het signaal.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=500, help="Hoeveel rijen ten hoogste.")] = None,
    cursor: Cursor = None, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Geef antwoord op een van de tien vragen.

    1 welke regels zijn te laat, 2 wie heeft op welke laag contact met wie en waar niet, 3 de geschiedenis,
    4 welke A-relaties missen iets, 5 wat is toegezegd, 6 waar ging de aandacht heen, 7 hoe tevreden is een relatie,
    8 hoe gaan de programma's, 9 wie investeert en wie wint, 10 waarom is er een signaal.
    """
    needed = {3: ("--relation", relation), 7: ("--relation", relation), 10: ("--alert", alert)}.get(number)
    if needed is not None and needed[1] is None:
        raise typer.BadParameter(f"vraag {number} wil deze optie", param_hint=needed[0])
    document = find(data_dir).get(
        f"/v1/questions/{number}", unowned=_flag(unowned),
        relation=relation, team=team, tier=tier, owner=owner, asOf=day_or_moment(as_of),
        knownAt=position_or_moment(known_at), by=by, late=_flag(late), state=state,
        rag=rag, endsBefore=ends_before, chain=chain, organisation=organisation, financingSystem=financing_system,
        period=period, kind=kind, alert=alert, limit=limit, cursor=cursor,
    )  # fmt: skip
    if json:
        print_json(document)
    elif number == 10:
        _why(document)
    else:
        title, columns = _TABLES[number]
        print_table(title, columns, map(brief, document["items"]))
        if number == 7:
            print_table("Opvolging van lage scores", _LOOPS, document["loops"])
        if document.get("next"):
            note(f"Er is meer: voeg toe --cursor {document['next']}")


def _flag(asked: bool | None) -> str | None:
    return None if asked is None else str(asked).lower()


def _why(document: Mapping[str, Any]) -> None:
    print_alert(document["alert"], document["explanation"])
    print_table("Waar het op rust", _EVIDENCE, document["evidence"])
    print_table("De bronnen", _SOURCES, document["sources"])
