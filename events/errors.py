"""The errors of Relatieboek, one tree. They carry data in attributes and never personal data.

    RelatieboekError
    ├── Invalid            input that breaks a contract; carries every problem of one event
    ├── Unavailable        an engine (NATS, PostgreSQL) is out, or a queue is full; try again
    │   └── NotYetThere    a read model has not reached the asked position in time
    ├── Diverged           stream and ledger disagree; nothing may go on before a person looked
    ├── FeedBroken         a feed of the stream is over; reopen from the stored position
    ├── Fenced             another replica has moved this projection's checkpoint
    ├── KeyMissing         a key is gone although nobody erased it: an alarm, never "gegevens gewist"
    ├── NotFound           what was asked for does not exist, or the asker may not know that it does
    └── SetupError         the machine, a port, a directory or a setting is not as needed

`services.problems` maps them to HTTP, `services.cli` to exit codes; nothing else does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One problem of one field: a JSON pointer into the event, and what is wrong and what to do, in one sentence."""

    pointer: str
    detail: str


class RelatieboekError(Exception):
    """Root of the tree."""


class Invalid(RelatieboekError):
    """Input that breaks a contract. `code` is one of the problem codes in `events.verdict`."""

    def __init__(self, code: str, errors: Sequence[FieldError]) -> None:
        super().__init__(f"{code}: " + "; ".join(e.pointer for e in errors))
        self.code = code
        self.errors = tuple(errors)


class Unavailable(RelatieboekError):
    """An engine is out or a queue is full. `retry_after_s` says when to try again."""

    def __init__(self, what: str, retry_after_s: float = 1.0) -> None:
        super().__init__(what)
        self.what = what
        self.retry_after_s = retry_after_s


class NoRoom(Unavailable):
    """NATS has not the room to set aside for a new stream."""


class NotYetThere(Unavailable):
    """A read model has not reached the asked position within the wait."""


class Diverged(RelatieboekError):
    """Stream and ledger disagree. `position` is the first place where they do, if known."""

    def __init__(self, what: str, position: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.position = position


class FeedBroken(RelatieboekError):
    """A feed of the stream is over; the reader reopens from the position that it stored."""


class Fenced(RelatieboekError):
    """Another replica has moved this projection's checkpoint."""


class KeyMissing(RelatieboekError):
    """A key is gone although no erasure took it, or its key-encryption key is not there. `what` names no person."""

    def __init__(self, what: str) -> None:
        super().__init__(f"key missing: {what}")
        self.what = what


class NotFound(RelatieboekError):
    """What was asked for does not exist, or the asker may not know that it does."""


class SetupError(RelatieboekError):
    """The machine, a port, a directory or a setting is not as needed. The text says what to do."""
