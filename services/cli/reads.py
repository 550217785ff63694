"""Who reads the database without the API is in the access log as well: before anything is printed or written."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Final

from events.clock import system_now
from events.errors import NotFound, SetupError
from events.postgres import OUTAGES
from services.access_log.record import Action, Event, Outcome, Record
from services.access_log.store import log
from services.settings import Settings

# Of every command how what it shows gets into the access log: over HTTP the API does it, `itself` calls `log_reading`,
# and what shows nothing about a person says why. `tests/unit/test_access_log.py` knows every command.
API: Final = "over HTTP"
ITSELF: Final = "itself"
COMMANDS: Final[Mapping[str, str]] = {
    "status": API, "timeline": API, "alerts": API, "loops": API, "history": API, "question": API,
    "contributors": API, "staff-satisfaction": API,
    "relation show": API, "relation list": API, "relation diff": API,
    "accesses list": API, "accesses relation": API, "accesses person": API,
    "accesses verify": "hashes",
    "rejected list": ITSELF, "rejected show": ITSELF, "rejected retry": "counts",
    "parked list": ITSELF, "parked retry": "counts",
    "audit export": ITSELF, "audit verify": "hashes", "audit checkpoint": "hashes",
    "reconcile": "hashes and counts", "rebuild": "stored values: references and ciphertexts",
    "department renew": "its own keys",
    "keys list": "counts", "keys rotate": "counts", "keys rewrap": "counts", "keys drop": "a name",
    "person erase": ITSELF, "person export": ITSELF, "person verify-erased": "how often what was given stands where",
    "person hold list": ITSELF, "person hold add": "a number", "person hold release": "a number that was given",
    "retention run": "counts",
    "department list": "departments", "department add": "its own keys", "department revoke": "a name that was given",
    "account list": ITSELF, "account add": "its own password",
    "account change": "a name that was given", "account password": "its own password",
    "account disable": "a name that was given",
    "send": "verdicts on what was given", "import csv": "what was given", "import ics": "what was given",
    "schema": "a document of the program", "clock advance": "an instant",
    "backup": ITSELF, "restore": "counts",
    "mail list": "stored values: references", "mail retry": "counts",
    "up": "an address", "serve": "nothing", "migrate": "nothing",
}  # fmt: skip


def os_user() -> str:
    """Who runs this program, as the operating system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid-{os.getuid()}"


@contextmanager
def denials_logged(
    settings: Settings, operation: str, *, event: Event = "command", action: Action = "R", objects: Iterable[str] = ()
) -> Generator[None]:
    """Of a command that ends within because what it asked for is not there: a record that it was asked, as denied.

    Who it was asked about is then not known to the book, and an id as somebody typed it is not for this log. Not inside
    a running loop. Raises what was raised within, or SetupError when the record cannot be written.
    """
    try:
        yield
    except NotFound:
        log_reading(settings, operation, event=event, action=action, objects=objects, outcome="denied")
        raise


def log_reading(
    settings: Settings, operation: str, *, event: Event = "command", action: Action = "R",
    relations: Iterable[str] = (), persons: Iterable[str] = (), objects: Iterable[str] = (), items: int | None = None,
    everybody: bool = False, outcome: Outcome = "granted",
) -> None:  # fmt: skip
    """One record of what this command is about to show; durable when it returns. Not inside a running loop.

    Raises SetupError when it cannot be written: then nothing may be shown.
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
        raise SetupError(
            "Het inzagelogboek is niet te schrijven, dus er wordt niets getoond. Draait PostgreSQL?"
        ) from error
