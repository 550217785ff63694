"""Who reads or changes the database without the API is in the access log too: before it is printed or in force."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Final

from events.clock import system_now
from events.errors import Invalid, NotFound, SetupError
from events.postgres import OUTAGES
from services.access_log.record import Action, Event, Outcome, Record
from services.access_log.store import log
from services.settings import Settings

# Of every command how what it shows or changes gets into the access log: over HTTP the API does it, `itself` calls
# `log_reading`, and what is about no relation and no person says why. `tests/integration/test_access_commands.py` runs
# every command of the first two.
API: Final = "over HTTP"
ITSELF: Final = "itself"
_OF_SYSTEMS: Final = "departments are systems, and publish under their name"
_GIVEN: Final = "what was given goes to the book as a department's, and stands there under its name"
_KEYS: Final = "names and counts of keys"
COMMANDS: Final[Mapping[str, str]] = {
    "timeline": API, "alerts": API, "loops": API, "history": API, "question": API,
    "contributors": API, "staff-satisfaction": API,
    "relation show": API, "relation list": API, "relation diff": API,
    "accesses list": API, "accesses relation": API, "accesses person": API, "accesses verify": ITSELF,
    "rejected list": ITSELF, "rejected show": ITSELF, "rejected retry": ITSELF,
    "parked list": ITSELF, "parked retry": ITSELF,
    "audit export": ITSELF, "audit verify": ITSELF, "reconcile": ITSELF, "rebuild": ITSELF,
    "person erase": ITSELF, "person export": ITSELF, "person verify-erased": ITSELF,
    "person hold list": ITSELF, "person hold add": ITSELF, "person hold release": ITSELF, "retention run": ITSELF,
    "account list": ITSELF, "account add": ITSELF, "account change": ITSELF, "account password": ITSELF,
    "account disable": ITSELF,
    "mail list": ITSELF, "mail retry": ITSELF, "backup": ITSELF,
    "restore": "puts a database in place, and with it the log of that time; what it prints is counts",
    "status": "counts, and names of departments and services", "audit checkpoint": "hashes",
    "keys list": _KEYS, "keys rotate": _KEYS, "keys rewrap": _KEYS, "keys drop": _KEYS,
    "department list": _OF_SYSTEMS, "department add": _OF_SYSTEMS, "department revoke": _OF_SYSTEMS,
    "department renew": _OF_SYSTEMS,
    "send": _GIVEN, "import csv": _GIVEN, "import ics": _GIVEN,
    "schema": "a document of the program", "clock advance": "an instant",
    "up": "an address", "serve": "nothing", "migrate": "nothing",
}  # fmt: skip


class Denied(SetupError):
    """A command may not do now what was asked of it. `persons`: the references of whom it was asked about."""

    def __init__(self, what: str, persons: Iterable[str] = ()) -> None:
        super().__init__(what)
        self.persons = tuple(persons)


class NotLogged(SetupError):
    """The access log cannot be written: nothing may be shown and nothing changed."""


def os_user() -> str:
    """Who runs this program, as the operating system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid-{os.getuid()}"


@contextmanager
def refusals_logged(
    settings: Settings, operation: str, *, event: Event = "command", action: Action = "R", objects: Iterable[str] = ()
) -> Generator[None]:
    """Of a command that ends within without doing what was asked: a record that it was asked, `denied` where what it
    asked for is not there (NotFound) or may not be had now (Denied), `failed` for what else is wrong with it.

    Who it was asked about is mostly not known to the book, and an id as somebody typed it is not for this log. Not
    inside a running loop. Raises what was raised within, or NotLogged when the record cannot be written.
    """
    try:
        yield
    except NotLogged:
        raise
    except (NotFound, Invalid, SetupError) as error:
        log_reading(
            settings, operation, event=event, action=action, objects=objects,
            persons=error.persons if isinstance(error, Denied) else (),
            outcome="denied" if isinstance(error, NotFound | Denied) else "failed",
        )  # fmt: skip
        raise


def log_reading(
    settings: Settings, operation: str, *, event: Event = "command", action: Action = "R",
    relations: Iterable[str] = (), persons: Iterable[str] = (), objects: Iterable[str] = (), items: int | None = None,
    everybody: bool = False, outcome: Outcome = "granted",
) -> None:  # fmt: skip
    """One record of what this command is about to show or do; durable when it returns. Not inside a running loop.

    Raises NotLogged when it cannot be written.
    """
    asyncio.run(
        logged_reading(
            settings,
            operation,
            event=event,
            action=action,
            relations=relations,
            persons=persons,
            objects=objects,
            items=items,
            everybody=everybody,
            outcome=outcome,
        )
    )


async def logged_reading(
    settings: Settings, operation: str, *, event: Event = "command", action: Action = "R",
    relations: Iterable[str] = (), persons: Iterable[str] = (), objects: Iterable[str] = (), items: int | None = None,
    everybody: bool = False, outcome: Outcome = "granted",
) -> None:  # fmt: skip
    """`log_reading`, inside a loop."""
    record = Record(
        at=system_now(), event=event, action=action, kind="command_line", actor=os_user(), operation=operation,
        outcome=outcome, relations=frozenset(relations), persons=frozenset(persons), objects=frozenset(objects),
        items=items, everybody=everybody,
        address=socket.gethostname(), client="command_line",
    )  # fmt: skip
    try:
        await log(settings.database_url, record, within_s=settings.access_log_within_s)
    except OUTAGES as error:
        raise NotLogged(
            "Het inzagelogboek is niet te schrijven, dus er wordt niets getoond en niets veranderd. Draait PostgreSQL?"
        ) from error
