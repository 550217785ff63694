"""The made-up institution of the demo: four departments, six teams, employees without names, invented counterparts."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

LAYERS: Final = ("board", "senior_management", "tactical_management", "professional")


@dataclass(frozen=True, slots=True)
class Department:
    """What a department may publish: globs of <family>.<event>."""

    name: str
    types: tuple[str, ...]

    def source(self, institution: str) -> str:
        return f"urn:nld:oin:{institution}:systeem:{self.name}-demo"

    def sources(self, institution: str) -> list[str]:
        """Its demo system, and the calendar that `import ics` names by default."""
        return [self.source(institution), f"urn:nld:oin:{institution}:systeem:{self.name}-agenda"]


DEPARTMENTS: Final = (
    Department(
        "zorgverkoop",
        ("relation.*", "counterpart.*", "team.*", "contributor.*", "employee.*", "contact.*", "note.*", "schedule.*",
         "knowledge.*", "matrix.*", "plan.*", "commitment.*", "partnership.*", "opportunity.*", "agreement.*",
         "programme.*", "chain.*", "correction.*"),
    ),
    Department(
        "communicatie",
        ("relation.registered", "contact.*", "note.*", "knowledge.*", "commitment.*", "correction.*"),
    ),
    Department("kwaliteit", ("satisfaction.*", "contact.*", "note.*", "knowledge.*", "correction.*")),
    Department(
        "finance", ("knowledge.*", "contact.*", "note.*", "commitment.*", "agreement.*", "chain.*", "correction.*")
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Team:
    """Colleagues who share relations: those of their kinds, in their regions ('' = the rest)."""

    team: str
    name: str
    kinds: tuple[str, ...]
    regions: tuple[str, ...] = ()


TEAMS: Final = (
    Team("wmo-west", "Wmo West", ("municipality",),
         ("Haaglanden", "Delft Westland Oostland", "Rotterdam", "Zuid-Holland Noord", "Midden-Holland", "Amsterdam")),
    Team("wmo-zuid", "Wmo Zuid", ("municipality",),
         ("Zeeland", "West-Brabant", "Midden-Brabant", "Noordoost Brabant", "Zuidoost-Brabant", "Zuid-Limburg")),
    Team("wmo-noordoost", "Wmo Noord en Oost", ("municipality",),
         ("Groningen", "Drenthe", "Friesland", "Twente", "Zwolle", "Arnhem", "Utrecht")),
    Team("langdurige-zorg", "Langdurige zorg", ("care_office",)),
    Team("zorgverzekeraars", "Zorgverzekeraars", ("health_insurer", "care_office")),
    Team("ketenzorg", "Ketenzorg", ("care_partner",)),
)  # fmt: skip

# Per team five colleagues; the first speaks for the board and is in every team's talks on that layer.
BOARD_MEMBER: Final = "e-100"

FUNCTIONS: Final = {
    "municipality": ("Wethouder", "Directeur sociaal domein", "Beleidsadviseur Wmo", "Wijkcoach"),
    "care_office": ("Bestuurder", "Manager zorginkoop", "Zorginkoper Wlz", "Regioadviseur"),
    "health_insurer": ("Bestuurder", "Manager zorginkoop", "Zorginkoper", "Medisch adviseur"),
    "care_partner": ("Bestuurder", "Bedrijfskundig manager", "Hoofd transferbureau", "Transferverpleegkundige"),
}

# Clearly made up: these surnames mean example, invention, model and nowhere.
_FIRST: Final = (
    "Anouk", "Bram", "Carlijn", "Daan", "Esra", "Fatima", "Gijs", "Hanna", "Ilse", "Jelle", "Karim", "Lotte", "Mees",
    "Nadia", "Olaf", "Pien", "Quinten", "Roos", "Sem", "Tess", "Umar", "Vera", "Wout", "Yara", "Zoë",
)  # fmt: skip
_LAST: Final = (
    "van Voorbeeld", "Verzinsel", "de Fictie", "Proefpersoon", "ter Bedenking", "Modelaar", "van Nergens",
    "Schijnbaar", "Denkbeeld", "Zogenaamd",
)  # fmt: skip


def employee(team: Team, layer: str) -> str:
    """Our colleague on a layer, as a pseudonymous number."""
    number = next(i for i, t in enumerate(TEAMS) if t.team == team.team)
    return BOARD_MEMBER if layer == "board" else f"e-{200 + number * 10 + LAYERS.index(layer)}"


def members(team: Team) -> list[str]:
    return [employee(team, layer) for layer in LAYERS]


def made_up_name(random: Random) -> str:
    return f"{random.choice(_FIRST)} {random.choice(_LAST)}"
