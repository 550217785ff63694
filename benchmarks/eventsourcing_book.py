"""The book as somebody would build it with `eventsourcing` 9.5: one aggregate per relation, JSON, PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.cryptography import AESCipher
from eventsourcing.domain import Aggregate, event
from sqlalchemy.engine import make_url

from benchmarks.load import Json
from events.catalog import check


class Relation(Aggregate):
    """Everything that happened to one relation."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.contacts: set[str] = set()

    @staticmethod
    def create_id(subject: str) -> UUID:
        return uuid5(NAMESPACE_URL, subject)

    @event("Told")
    def record(self, told: dict[str, Any]) -> None:
        """`told` is the whole CloudEvent, a `contact.held`."""
        self.contacts.add(told["data"]["contact"])


class Book(Application[UUID]):
    def tell(self, events: Sequence[Json]) -> None:
        """The same work as intake's for the same events: contract, state as it is now, decision, encrypted, saved."""
        touched: dict[str, Relation] = {}
        for told in events:
            submission = check(told)
            relation = touched.get(submission.subject)
            if relation is None:
                # From its cache, with a look at the database for what another writer may have added.
                relation = self.repository.get(Relation.create_id(submission.subject))
                assert isinstance(relation, Relation)
                touched[submission.subject] = relation
            if submission.data["contact"] in relation.contacts:
                raise ValueError("this contact was told before")
            relation.record(told)
        self.save(*touched.values())


def environment(owner_url: str) -> dict[str, str]:
    """Its settings for a `postgresql+asyncpg://` address. The owner, because it creates its own tables."""
    url = make_url(owner_url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres", "POSTGRES_DBNAME": str(url.database),
        "POSTGRES_HOST": str(url.host), "POSTGRES_PORT": str(url.port), "POSTGRES_USER": str(url.username),
        "POSTGRES_PASSWORD": str(url.password), "POSTGRES_SCHEMA": "public",
    }  # fmt: skip


def encrypting() -> dict[str, str]:
    """More settings: every event encrypted, every relation kept in memory."""
    return {
        "CIPHER_TOPIC": "eventsourcing.cryptography:AESCipher", "CIPHER_KEY": AESCipher.create_key(32),
        "AGGREGATE_CACHE_MAXSIZE": "1000", "DEEPCOPY_FROM_AGGREGATE_CACHE": "n",
    }  # fmt: skip
