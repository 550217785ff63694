"""Tables of who signs in (schema `identity`). No password, session id or address stands here in readable form."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Index, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(schema="identity")

_instant = DateTime(timezone=True)

account = Table(
    "account",
    metadata,
    Column("name", Text, primary_key=True, comment="what is typed at sign-in, in lower case"),
    Column("ref", Text, nullable=False, unique=True, comment="random; what events call this person"),
    Column("password_hash", Text, nullable=False, comment="argon2id, with its parameters"),
    Column("roles", ARRAY(Text), nullable=False),
    Column("teams", ARRAY(Text), nullable=False),
    Column("department", Text),
    Column("employee", LargeBinary, comment="finds the person's reference: HMAC of the id under the lookup key"),
    Column("created_at", _instant, nullable=False),
    Column("disabled_at", _instant),
)

session = Table(
    "session",
    metadata,
    Column("id_hash", LargeBinary, primary_key=True, comment="SHA-256 of the cookie's value"),
    Column("owner", Text, nullable=False, comment="whose it is, for signing out everywhere: <door>:<who>"),
    Column("account", Text, comment="signed in with this account"),
    Column("viewer", Text, comment="signed in with this viewer's token …"),
    Column("token_hash", LargeBinary, comment="… as it was then"),
    Column("profile", JSONB(none_as_null=True), comment="signed in elsewhere: what that said of roles and teams"),
    Column("employee", LargeBinary, comment="with `profile`: as in account"),
    Column("began_at", _instant, nullable=False),
    Column("seen_at", _instant, nullable=False, comment="last use, to the minute"),
    Index("session_owner", "owner"),
    Index("session_began", "began_at"),
)

# A sign-in elsewhere that is under way: used once, and only by the browser that began it.
flow = Table(
    "flow",
    metadata,
    Column("state_hash", LargeBinary, primary_key=True),
    Column("nonce", Text, nullable=False),
    Column("verifier", Text, nullable=False, comment="of PKCE"),
    Column("began_at", _instant, nullable=False, index=True),
)

attempt = Table(
    "attempt",
    metadata,
    Column("key", LargeBinary, primary_key=True, comment="SHA-256 of an account's name or an address"),
    Column("tries", Integer, nullable=False),
    Column("since", _instant, nullable=False, index=True),
)
