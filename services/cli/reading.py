"""The commands that show what the book knows. They read over HTTP, so that their fields are those of HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from services.cli.console import print_fields, print_json, print_list, print_table
from services.cli.instance import find
from services.cli.options import Cursor, DataDir, Json, Limit, day_or_moment, position_or_moment

Ident = Annotated[str, typer.Argument(metavar="ID", help="UUID, of <soort>:<waarde> zoals gemeentecode:0518.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="Zoals het was op dit moment (datum of tijdstip).")]
KnownAt = Annotated[str | None, typer.Option("--known-at", help="Zoals het boek het toen wist (tijdstip of positie).")]

relation = typer.Typer(help="Relaties bekijken.", no_args_is_help=True, rich_markup_mode=None)

_RELATIONS: Final = (
    ("name", "Naam"), ("kind", "Soort"), ("region", "Regio"), ("tier", "Klasse"), ("last_contact_at",
    "Laatste contact"),
    ("open_alerts", "Signalen"), ("id", "Id"),
)  # fmt: skip
_ENTRIES: Final = (
    ("occurred_at", "Wanneer"), ("relation_name", "Relatie"), ("title", "Wat"), ("detail", "Bijzonderheden"),
    ("department", "Afdeling"), ("visibility", "Zichtbaar voor"), ("position", "Positie"),
)  # fmt: skip
_ALERTS: Final = (
    ("relation_name", "Relatie"), ("rule", "Signaal over"), ("line", "Regel"), ("about", "Waarover"), ("state",
    "Stand"), ("due_on", "Uiterlijk"),
    ("overdue_on", "Te laat sinds"), ("working_days_overdue", "Werkdagen te laat"), ("owner", "Eigenaar"), ("id",
    "Signaal"),
)  # fmt: skip
_LOOPS: Final = (
    ("relation_name", "Relatie"), ("instrument", "Meting"), ("score", "Score"), ("state", "Stand"), ("due_on",
    "Uiterlijk"),
    ("working_days_late", "Werkdagen te laat"), ("owner", "Eigenaar"), ("id", "Opvolging"),
)  # fmt: skip
_HISTORY: Final = (
    ("position", "Positie"), ("version", "Versie"), ("occurred_at", "Gebeurd"), ("recorded_at", "Vastgelegd"),
    ("type", "Soort"), ("department", "Afdeling"), ("data", "Inhoud"),
)  # fmt: skip
_DIFFERENCES: Final = (("pointer", "Veld"), ("before", "Eerst"), ("after", "Daarna"))
_LINES: Final = (
    ("line", "Regel"), ("our_layer", "Onze laag"), ("their_layer", "Hun laag"), ("state", "Stand"), ("due_on",
    "Uiterlijk"),
    ("overdue_on", "Te laat vanaf"), ("owner", "Eigenaar"),
)  # fmt: skip


@relation.command("show")
def show(
    ident: Ident, as_of: AsOf = None, known_at: KnownAt = None, json: Json = False, data_dir: DataDir = None
) -> None:
    """Toon alles van één relatie, nu of op een eerder moment."""
    document = find(data_dir).get(
        f"/v1/relations/{quote(ident, safe=':')}", asOf=day_or_moment(as_of), knownAt=position_or_moment(known_at)
    )
    if json:
        print_json(document)
        return
    listed = {"schedule", "contacts_by_layer_pair", "satisfaction"}
    print_fields(str(document.get("name", ident)), ((k, v) for k, v in document.items() if k not in listed))
    print_table("Contactschema", _LINES, document.get("schedule") or [])
    pairs = (("our_layer", "Onze laag"), ("their_layer", "Hun laag"), ("contacts", "Contacten"), ("last_at", "Laatste"))
    print_table("Wie spreekt wie", pairs, document.get("contacts_by_layer_pair") or [])
    scores = (
        ("instrument", "Meting"),
        ("wording_version", "Versie"),
        ("n", "Aantal"),
        ("mean", "Gemiddelde"),
        ("nps", "NPS"),
    )
    print_table("Tevredenheid", scores, document.get("satisfaction") or [])


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
            "partnership, opportunities."
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
    tier: Annotated[str | None, typer.Option(help="Alleen deze klasse, zoals A.")] = None,
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
    asked: dict[str, Any] = {"department": department, "family": family, "from": from_, "to": to}
    document = find(data_dir).get(path, limit=limit, cursor=cursor, **asked)
    print_list("Tijdlijn", _ENTRIES, document, json)


def alerts(
    state: Annotated[str | None, typer.Option(help="Alleen met deze stand, zoals open.")] = None,
    owner: Annotated[str | None, typer.Option(help="Alleen van deze medewerker.")] = None,
    team: Annotated[str | None, typer.Option(help="Alleen van dit team.")] = None,
    tier: Annotated[str | None, typer.Option(help="Alleen van relaties met deze klasse.")] = None,
    rule: Annotated[str | None, typer.Option(help="Alleen van deze regel, zoals contact_overdue.")] = None,
    limit: Limit = 50, cursor: Cursor = None, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon de signalen: contact dat te laat is, en wat verder een mens nodig heeft."""
    from projections.rule_names import rule_name

    document = find(data_dir).get(
        "/v1/alerts", state=state, owner=owner, team=team, tier=tier, rule=rule, limit=limit, cursor=cursor
    )
    if not json:
        for item in document["items"]:
            item["rule"] = rule_name(item["rule"], item["about"], "nl")
    print_list("Signalen", _ALERTS, document, json)


def loops(
    state: Annotated[str | None, typer.Option(help="Alleen met deze stand: open, late, closed.")] = None,
    of: Annotated[str | None, typer.Option("--relation", help="Alleen van deze relatie.")] = None,
    team: Annotated[str | None, typer.Option(help="Alleen van dit team.")] = None,
    owner: Annotated[str | None, typer.Option(help="Alleen van deze medewerker.")] = None,
    limit: Limit = 50, cursor: Cursor = None, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon de lage scores die nog een vervolg moeten krijgen, of kregen."""
    document = find(data_dir).get(
        "/v1/loops", state=state, relation=of, team=team, owner=owner, limit=limit, cursor=cursor
    )
    print_list("Opvolgingen", _LOOPS, document, json)


def history(
    ident: Ident, as_of: AsOf = None, known_at: KnownAt = None, json: Json = False, data_dir: DataDir = None
) -> None:
    """Toon wat er met een relatie gebeurde, zoals het boek het nu weet of toen wist."""
    path = f"/v1/relations/{quote(ident, safe=':')}/history"
    document = find(data_dir).get(path, asOf=day_or_moment(as_of), knownAt=position_or_moment(known_at))
    print_list("Geschiedenis", _HISTORY, document, json)


def status(json: Json = False, data_dir: DataDir = None) -> None:
    """Toon hoe het met het boek gaat. Eindigt met 0 als alles gezond is, anders met 1."""
    document = find(data_dir).get("/v1/status")
    if json:
        print_json(document)
    else:
        print_fields("Het boek", [
            ("laatste positie", document["log"]["head"]), ("in de stream", document["log"]["stream"]),
            ("per seconde (1 min)", document["log"]["rate_1m"]), *document["intake"].items(), ("gezond",
            document["healthy"]),
        ])  # fmt: skip
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
