"""The commands that show what the book knows. They read over HTTP, so that their fields are those of HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from services.cli.console import as_recorded, print_fields, print_json, print_list, print_table
from services.cli.instance import Instance, find
from services.cli.options import Cursor, DataDir, Json, Limit, day_or_moment, position_or_moment
from services.cli.parts import Part, print_part
from services.cli.whole import print_alert, print_loop, print_whole, what_of

Ident = Annotated[str, typer.Argument(metavar="ID", help="UUID, of <soort>:<waarde> zoals gemeentecode:0518.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="Zoals het was op dit moment (datum of tijdstip).")]
KnownAt = Annotated[str | None, typer.Option("--known-at", help="Zoals het boek het toen wist (tijdstip of positie).")]

relation = typer.Typer(help="Relaties bekijken.", no_args_is_help=True, rich_markup_mode=None)

_RELATIONS: Final = (
    ("name", "Naam"), ("kind", "Soort"), ("region", "Regio"), ("tier", "Niveau"),
    ("last_contact_at", "Laatste contact"), ("open_alerts", "Signalen"), ("id", "Id"),
)  # fmt: skip
_ENTRIES: Final = (
    ("occurred_at", "Wanneer"), ("relation_name", "Relatie"), ("title", "Wat"), ("department", "Afdeling"),
    ("visibility", "Zichtbaar voor"), ("position", "Positie"),
)  # fmt: skip
_ALERTS: Final = (
    ("relation_name", "Relatie"), ("what", "Signaal over"), ("state", "Stand"), ("due_on", "Uiterlijk"),
    ("overdue_on", "Te laat sinds"), ("working_days_overdue", "Werkdagen te laat"), ("owner", "Eigenaar"),
    ("id", "Signaal"),
)  # fmt: skip
_LOOPS: Final = (
    ("relation_name", "Relatie"), ("instrument", "Meting"), ("score", "Score"), ("state", "Stand"),
    ("due_on", "Uiterlijk"), ("working_days_late", "Werkdagen te laat"), ("owner", "Eigenaar"), ("id", "Opvolging"),
)  # fmt: skip
_HISTORY: Final = (
    ("position", "Positie"), ("version", "Versie"), ("occurred_at", "Gebeurd"), ("recorded_at", "Vastgelegd"),
    ("type", "Soort"), ("department", "Afdeling"), ("data", "Inhoud"),
)  # fmt: skip
_DIFFERENCES: Final = (("pointer", "Veld"), ("before", "Eerst"), ("after", "Daarna"))


@relation.command("show")
def show(
    ident: Ident,
    part: Annotated[Part | None, typer.Option(metavar="DEEL", help=f"Alleen dit deel: {', '.join(Part)}.")] = None,
    as_of: AsOf = None, known_at: KnownAt = None,
    plan: Annotated[str | None, typer.Option(help="Deel plan: niet het plan dat geldt, maar dit.")] = None,
    question: Annotated[str | None, typer.Option(help="Deel plan: wie deze vraag beantwoordde.")] = None,
    older: Annotated[int | None, typer.Option(min=1, help="Deel plan: vergelijk het antwoord op deze positie…")] = None,
    newer: Annotated[int | None, typer.Option(min=1, help="…met het antwoord op deze positie.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=20, help="Deel opportunities: hoeveel ten hoogste.")] = None,
    cursor: Cursor = None, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon één relatie, of een deel van wat er van haar bekend is, nu of op een eerder moment."""
    path = f"/v1/relations/{quote(ident, safe=':')}"
    document = find(data_dir).get(
        path if part is None else f"{path}/{part}", asOf=day_or_moment(as_of), knownAt=position_or_moment(known_at),
        plan=plan, question=question, older=older, newer=newer, limit=limit, cursor=cursor,
    )  # fmt: skip
    if json:
        print_json(document)
    elif part is not None:
        print_part(part, ident, document)
    else:
        print_whole(document)


@relation.command("diff")
def diff(
    ident: Ident, as_of: AsOf = None, known_at: KnownAt = None,
    with_as_of: Annotated[
        str | None, typer.Option("--with-as-of", help="Vergelijk met hoe het op dit moment was.")
    ] = None,
    with_known_at: Annotated[
        str | None, typer.Option("--with-known-at", help="Vergelijk met hoe het boek het toen wist.")
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(
            help="Wat je vergelijkt: relation, matrix, schedule, plan, satisfaction, agreements, chain, "
            "partnership, opportunities, attention."
        ),
    ] = None,
    json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon per veld wat er verschilt tussen twee momenten. Wat je weglaat, is nu."""
    document = find(data_dir).get(
        f"/v1/relations/{quote(ident, safe=':')}/difference",
        asOf=day_or_moment(as_of), knownAt=position_or_moment(known_at),
        withAsOf=day_or_moment(with_as_of, "--with-as-of"),
        withKnownAt=position_or_moment(with_known_at, "--with-known-at"), view=view,
    )  # fmt: skip
    print_list("Verschillen", _DIFFERENCES, document, json)


@relation.command("list")
def list_(
    kind: Annotated[str | None, typer.Option(help="Alleen deze soort, zoals municipality.")] = None,
    tier: Annotated[str | None, typer.Option(help="Alleen dit niveau, zoals A.")] = None,
    team: Annotated[str | None, typer.Option(help="Alleen relaties van dit team.")] = None,
    q: Annotated[str | None, typer.Option("--q", help="Zoek in namen en nummers.")] = None,
    limit: Limit = 50, cursor: Cursor = None, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon de relaties."""
    document = find(data_dir).get("/v1/relations", kind=kind, tier=tier, team=team, q=q, limit=limit, cursor=cursor)
    if not json:
        for item in document["items"]:
            item["open_alerts"] = len(item["open_alerts"])
    print_list("Relaties", _RELATIONS, document, json)


def timeline(
    team: Annotated[str | None, typer.Option(help="De tijdlijn van dit team.")] = None,
    of: Annotated[str | None, typer.Option("--relation", help="De tijdlijn van deze relatie.")] = None,
    department: Annotated[str | None, typer.Option(help="Alleen van deze afdeling.")] = None,
    family: Annotated[str | None, typer.Option(help="Alleen deze soort gebeurtenissen, zoals contact.")] = None,
    layer: Annotated[str | None, typer.Option(help="Alleen contact met deze laag, van hen of van ons.")] = None,
    topic: Annotated[str | None, typer.Option(help="Alleen contact over dit onderwerp.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="Vanaf deze dag.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="Tot en met deze dag.")] = None,
    limit: Limit = 50, cursor: Cursor = None, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon de tijdlijn van een team of van een relatie, nieuwste eerst."""
    if (team is None) == (of is None):
        raise typer.BadParameter("kies één van --team en --relation", param_hint="--team")
    path = (
        f"/v1/teams/{quote(team, safe='')}/timeline" if team else f"/v1/relations/{quote(of or '', safe=':')}/timeline"
    )
    document = find(data_dir).get(
        path, department=department, family=family, layer=layer, topic=topic, to=to, limit=limit, cursor=cursor,
        **{"from": from_},
    )  # fmt: skip
    print_list("Tijdlijn", _ENTRIES, document, json)


def alerts(
    ident: Annotated[str | None, typer.Argument(metavar="ID", help="Toon dit ene signaal.")] = None,
    state: Annotated[str | None, typer.Option(help="Alleen met deze stand, zoals open.")] = None,
    owner: Annotated[str | None, typer.Option(help="Alleen van deze medewerker.")] = None,
    team: Annotated[str | None, typer.Option(help="Alleen van dit team.")] = None,
    tier: Annotated[str | None, typer.Option(help="Alleen van relaties met dit niveau.")] = None,
    rule: Annotated[str | None, typer.Option(help="Alleen van deze regel, zoals contact_overdue.")] = None,
    limit: Limit = 50, cursor: Cursor = None, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon de signalen: contact dat te laat is, en wat verder een mens nodig heeft."""
    if ident is not None:
        _show_one("/v1/alerts", ident, find(data_dir), json, print_alert)
        return
    document = find(data_dir).get(
        "/v1/alerts", state=state, owner=owner, team=team, tier=tier, rule=rule, limit=limit, cursor=cursor
    )
    if not json:
        for item in document["items"]:
            item["what"] = what_of(item)
    print_list("Signalen", _ALERTS, document, json)


def loops(
    ident: Annotated[str | None, typer.Argument(metavar="ID", help="Toon deze ene opvolging.")] = None,
    state: Annotated[str | None, typer.Option(help="Alleen met deze stand: open, late, closed.")] = None,
    of: Annotated[str | None, typer.Option("--relation", help="Alleen van deze relatie.")] = None,
    team: Annotated[str | None, typer.Option(help="Alleen van dit team.")] = None,
    owner: Annotated[str | None, typer.Option(help="Alleen van deze medewerker.")] = None,
    limit: Limit = 50, cursor: Cursor = None, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon de lage scores die nog een vervolg moeten krijgen, of kregen."""
    if ident is not None:
        _show_one("/v1/loops", ident, find(data_dir), json, print_loop)
        return
    document = find(data_dir).get(
        "/v1/loops", state=state, relation=of, team=team, owner=owner, limit=limit, cursor=cursor
    )
    print_list("Opvolgingen", _LOOPS, document, json)


def _show_one(path: str, ident: str, instance: Instance, json: bool, show: Callable[[Mapping[str, Any]], None]) -> None:
    document = instance.get(f"{path}/{quote(ident, safe='')}")
    if json:
        print_json(document)
    else:
        show(document)


def history(
    ident: Ident, as_of: AsOf = None, known_at: KnownAt = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=500, help="Hoeveel rijen ten hoogste; zonder deze optie alle.")
    ] = None,
    cursor: Cursor = None, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon wat er met een relatie gebeurde, zoals het boek het nu weet of toen wist."""
    path = f"/v1/relations/{quote(ident, safe=':')}/history"
    document = find(data_dir).get(
        path, asOf=day_or_moment(as_of), knownAt=position_or_moment(known_at), limit=limit, cursor=cursor
    )
    if not json:
        for item in document["items"]:
            item["data"] = as_recorded(item["data"])
    print_list("Geschiedenis", _HISTORY, document, json)


_INTAKE: Final = {
    "pending": "wacht op intake", "accepted": "aanvaard", "duplicates": "dubbel", "rejected": "geweigerd",
    "parked": "geparkeerd",
}  # fmt: skip


def status(json: Json = False, data_dir: DataDir = None) -> None:
    """Toon hoe het met het boek gaat. Eindigt met 0 als alles gezond is, anders met 1."""
    document = find(data_dir).get("/v1/status")
    if json:
        print_json(document)
    else:
        print_fields(
            "Het boek",
            [
                ("laatste positie", document["log"]["head"]),
                ("in de stream", document["log"]["stream"]),
                ("per seconde (1 min)", document["log"]["rate_1m"]),
                *((_INTAKE[name], count) for name, count in document["intake"].items()),
                ("gezond", document["healthy"]),
            ],
        )
        print_table("Leesmodellen", (
            ("name", "Naam"), ("version", "Versie"), ("state", "Stand"), ("position", "Positie"), ("lag", "Achter"),
            ("lag_seconds", "Seconden achter"), ("parked", "Geparkeerd"),
        ), document["projections"])  # fmt: skip
        print_table("Afdelingen", (
            ("name", "Naam"), ("last_event_at", "Laatste"), ("accepted", "Aanvaard"), ("duplicates", "Dubbel"),
            ("rejected", "Geweigerd"), ("late", "Te laat gemeld"),
        ), document["departments"])  # fmt: skip
    if not document["healthy"]:
        raise typer.Exit(1)
