"""Who may do what on NATS: an account for the book, one for its services, and one for each department.

Permissions alone are not enough. In one account, any call of JetStream with the reply subject `relatieboek.z` makes the
server itself publish its answer there, `inbox.x.y` its acknowledgement, and a push consumer delivers wherever its maker
says. Across accounts a reply only ever arrives with the asker. So the streams lie in BOOK, with the two users who may
write: `relay`, which intake has, and `operations`, which no service has.

SERVICES has no JetStream. It imports what reads: how a stream stands, and the messages of consumers on RELATIEBOEK that
intake makes for it (`services.intake.feeds`). It cannot make a consumer: one that pushes could be pointed at an inbox.

A department imports `submit.<d>` from SERVICES, and from BOOK `inbox.<d>.>`, `verdicts.<d>` and one ready-made pull
consumer `<d>` on stream `VERDICTS_<d>`, whose calls it finds under `book.API`: a `$JS.API` import would be answered by
its own account too, unless, as in SERVICES, `$JS.API.INFO` is among them.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import nkeys

_nkeys: Any = nkeys  # has no types

BOOK: Final = "BOOK"
SERVICES: Final = "SERVICES"
API_PREFIX: Final = "book.API"
# Who keeps what comes here can tell later whether the book was rewritten.
CHECKPOINTS: Final = "live.checkpoints"
# Of one department: more than any needs, and far from what the server can hold.
_LIMITS: Final = {"max_connections": 64, "max_subscriptions": 1_000}

# What SERVICES imports of BOOK: call, and whether it has many answers.
_READING: Final = (
    ("$JS.API.INFO", False),
    ("$JS.API.STREAM.INFO.*", False),
    ("$JS.API.CONSUMER.MSG.NEXT.RELATIEBOEK.*", True),
    ("$JS.API.CONSUMER.DELETE.RELATIEBOEK.*", False),
)
_AMONG_SERVICES: Final = (
    "submit.>",
    "live.>",
    "health.>",
    "notary.>",
    "feeds.>",
    "doors.>",
    "_INBOX.>",
    "_INBOX_service.>",
)
_SERVICE: Final = {
    "publish": {"allow": [*_AMONG_SERVICES, "_R_.>", *(call for call, _ in _READING)]},
    "subscribe": {"allow": list(_AMONG_SERVICES)},
}
_RELAY: Final = {
    "publish": {
        "allow": [
            "relatieboek.>", "verdicts.>", "$JS.API.INFO", "$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.INFO.*",
            "$JS.API.STREAM.MSG.GET.RELATIEBOEK", "$JS.API.DIRECT.GET.RELATIEBOEK", "$JS.API.DIRECT.GET.RELATIEBOEK.>",
            "$JS.API.CONSUMER.CREATE.>", "$JS.API.CONSUMER.DURABLE.CREATE.*.*", "$JS.API.CONSUMER.INFO.>",
            "$JS.API.CONSUMER.MSG.NEXT.RELATIEBOEK.>", "$JS.API.CONSUMER.DELETE.RELATIEBOEK.>", "$JS.ACK.>",
        ]
    },
    # Consumers of inboxes from before there was SERVICES still deliver to `_INBOX_service`.
    "subscribe": {"allow": ["_INBOX.>", "_INBOX_relay.>", "_INBOX_service.>"]},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keys:
    """Public nkeys of the book's own three users, and what the server encrypts its files with (None: they are plain).

    Without encryption an inbox keeps what departments sent, in the clear, in its files until these are compacted, long
    after the verdict. A server that had none converts its files at the next start.
    """

    service: str
    relay: str
    operations: str
    store: str | None = field(default=None, repr=False)


def new_seed() -> str:
    """A new user's nkey seed (`SU…`)."""
    return str(_nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode())


def new_store_key() -> str:
    """256 random bits for the server's files. A letter first: what comes from the environment is parsed, and a number
    would be one."""
    return f"k{secrets.token_hex(32)}"


def public_key(seed: str) -> str:
    """The public key (`U…`) that belongs to a seed."""
    pair = _nkeys.from_seed(bytearray(seed.encode()))
    return str(pair.public_key.decode()).rstrip("=")


def inbox_prefix(department: str) -> str:
    return f"_INBOX_{department}"


def _service(subject: str, to: Sequence[str], *, many: bool = False) -> dict[str, Any]:
    return {"service": subject, "accounts": list(to)} | ({"response": "stream"} if many else {})


def _import(kind: str, account: str, subject: str) -> dict[str, Any]:
    return {kind: {"account": account, "subject": subject}}


def _of_department(department: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """What BOOK exports to a department, what that imports from it, and what it may publish of that."""
    next_, info = (f"$JS.API.CONSUMER.{call}.VERDICTS_{department}.{department}" for call in ("MSG.NEXT", "INFO"))
    plain = [f"inbox.{department}.>", f"$JS.ACK.VERDICTS_{department}.{department}.>"]
    to, verdicts = [department], f"verdicts.{department}"
    exports = [_service(subject, to) for subject in (*plain, info)]
    exports += [_service(next_, to, many=True), {"stream": verdicts, "accounts": to}]
    own_names = {call: call.replace("$JS.API", API_PREFIX) for call in (next_, info)}
    imports = [_import("service", BOOK, subject) for subject in plain]
    imports += [_import("service", BOOK, call) | {"to": own} for call, own in own_names.items()]
    imports.append(_import("stream", BOOK, verdicts))
    return exports, imports, [*plain, *own_names.values()]


def accounts(keys: Keys, departments: Mapping[str, str]) -> dict[str, Any]:
    """The `accounts` block of a server's configuration: BOOK, SERVICES, and one account for each department (name →
    key)."""
    every: dict[str, Any] = {}
    of_book = [_service(call, [SERVICES], many=many) for call, many in _READING]
    of_services: list[dict[str, Any]] = []
    for department, key in sorted(departments.items()):
        exported, imports, publish = _of_department(department)
        submit = f"submit.{department}"
        of_book += exported
        of_services.append(_service(submit, [department]))
        imports += [_import("service", SERVICES, submit), _import("stream", SERVICES, CHECKPOINTS)]
        permissions = {
            "publish": {"allow": [submit, *publish]},
            "subscribe": {"allow": [f"{inbox_prefix(department)}.>", f"verdicts.{department}", CHECKPOINTS]},
        }
        every[department] = {
            "limits": _LIMITS, "users": [{"nkey": key, "permissions": permissions}], "imports": imports,
        }  # fmt: skip
    if departments:
        of_services.append({"stream": CHECKPOINTS, "accounts": sorted(departments)})
    writers = [{"nkey": keys.relay, "permissions": _RELAY}, {"nkey": keys.operations}]
    services = {
        "users": [{"nkey": keys.service, "permissions": _SERVICE}],
        "imports": [_import("service", BOOK, call) for call, _ in _READING],
        "exports": of_services,
    }
    return {BOOK: {"jetstream": "enabled", "users": writers, "exports": of_book}, SERVICES: services, **every}
