"""The book as somebody would build it with `eventsourcing` 9.5: one aggregate per relation, JSON, PostgreSQL."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from sqlalchemy.engine import make_url


class Relation(Aggregate):
    """Everything that happened to one relation."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.events = 0

    @staticmethod
    def create_id(subject: str) -> UUID:
        return uuid5(NAMESPACE_URL, subject)

    @event("Told")
    def record(self, told: dict[str, Any]) -> None:
        """`told` is the whole CloudEvent."""
        self.events += 1


class Book(Application[UUID]):
    pass


def environment(owner_url: str) -> dict[str, str]:
    """Its settings for a `postgresql+asyncpg://` address. The owner, because it creates its own tables."""
    url = make_url(owner_url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres", "POSTGRES_DBNAME": str(url.database),
        "POSTGRES_HOST": str(url.host), "POSTGRES_PORT": str(url.port), "POSTGRES_USER": str(url.username),
        "POSTGRES_PASSWORD": str(url.password), "POSTGRES_SCHEMA": "public",
    }  # fmt: skip
