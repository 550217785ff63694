"""Every error of the command line as one clear Dutch line on stderr, with exit code 2 and never a traceback."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Final

import httpx
import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from typer.core import TyperGroup
from typer.exceptions import Abort, Exit, TyperException

from events.errors import Diverged, Invalid, NotFound, RelatieboekError, SetupError, Unavailable
from services.cli.console import note
from services.cli.dutch_help import DutchContext
from services.dutch_problems import detail_in_dutch
from services.reasons import why

EXIT_FAILED: Final = 2
EXIT_INTERRUPTED: Final = 130

# typer says these in English; first match wins.
_USAGE: Final[tuple[tuple[str, str], ...]] = (
    (r"No such command '(.*?)'\.?.*", "Onbekende opdracht '{0}'. Kijk met `relatieboek --help` welke er zijn."),
    (r"No such option: (\S+).*", "Onbekende optie {0}. Kijk met --help welke er zijn."),
    (r"Missing argument '?(.*?)'?\.( .*)?", "Er ontbreekt: {0}. Kijk met --help hoe het moet."),
    (r"Missing option '?(.*?)'?\.( .*)?", "Er ontbreekt een optie: {0}. Kijk met --help hoe het moet."),
    (r"Missing command\.", "Er ontbreekt een opdracht. Kijk met --help welke er zijn."),
    (r"Option '?(.*?)'? requires an argument\.?", "Optie {0} heeft een waarde nodig."),
    (r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)", "Dit hoort er niet bij: {0}. Kijk met --help."),
    (r"Invalid value for '?(.*?)'?: (.*)", "Ongeldige waarde voor {0}: {1}"),
)  # fmt: skip


def usage_line(message: str) -> str:
    """A usage error of typer in Dutch."""
    for pattern, dutch in _USAGE:
        if found := re.fullmatch(pattern, message, re.DOTALL):
            return dutch.format(*(detail_in_dutch(g or "") for g in found.groups()))
    return message


def error_line(error: Exception) -> str:
    """What went wrong and what to do, in one line; holds no personal data and no secrets."""
    match error:
        case SetupError():
            return str(error)
        case NotFound():
            return str(error) if str(error).endswith(".") else f"Niet gevonden: {error}."
        case Invalid():
            return "Ongeldig: " + "; ".join(f"{e.pointer} {detail_in_dutch(e.detail)}".strip() for e in error.errors)
        case Diverged():
            where = f" vanaf positie {error.position}" if error.position is not None else ""
            return f"Stream en grootboek verschillen{where}: {error.what}. Kijk met `relatieboek reconcile`."
        case Unavailable():
            return f"Nu niet bereikbaar of te druk ({error.what}). Probeer het straks opnieuw."
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return f"Relatieboek antwoordt niet op {_address(error)}. Draait het? Start het met `relatieboek up`."
        case httpx.HTTPError():
            return f"Relatieboek gaf geen antwoord ({type(error).__name__}). Probeer het straks opnieuw."
        case DBAPIError() | SQLAlchemyError():
            return f"PostgreSQL gaf een fout ({type(error).__name__}). Draait de database, en klopt DATABASE_URL?"
        case RelatieboekError():
            return str(error)
        case OSError():
            named = f"{error.filename}: " if error.filename else ""
            return f"{named}{why(error)}."
        case _:
            last = traceback.extract_tb(error.__traceback__)[-1]
            return (
                f"Onverwachte fout {type(error).__name__} ({last.name}, regel {last.lineno}). Meld dit met wat u deed."
            )


def _address(error: httpx.RequestError) -> str:
    try:
        url = error.request.url
    except RuntimeError:
        return "het opgegeven adres"
    return f"{url.scheme}://{url.netloc.decode()}"


class DutchGroup(TyperGroup):
    """The whole command line: the edge where errors become a line and an exit code."""

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, complete_var: str | None = None,
        standalone_mode: bool = True, windows_expand_args: bool = True, **extra: Any,
    ) -> Any:  # fmt: skip
        # Stdout is for results only, and what went well is told by the command; `up` and `serve` set their own logging.
        structlog.configure(
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        )
        logging.getLogger().setLevel(logging.ERROR)
        self.context_class = DutchContext  # those of the commands have it from when they were made
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except Exit as exit_:
            code = exit_.exit_code
        except Abort:
            note("Afgebroken.")
            code = EXIT_INTERRUPTED
        except KeyboardInterrupt:
            note("Afgebroken.")
            code = EXIT_INTERRUPTED
        except BrokenPipeError:
            # The reader of our output (head, less) has enough; the rest would only raise again at exit.
            sys.stdout = None
            code = 0
        except TyperException as error:
            note(usage_line(error.format_message()))
            code = EXIT_FAILED
        except Exception as error:  # noqa: BLE001  the edge of the program
            note(error_line(error))
            code = EXIT_FAILED
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code
