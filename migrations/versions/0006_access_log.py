"""The access log (NEN 7513): records that nobody changes, and what is left of those whose time is over.

Written once, spelled out (see 0001). Only `access.prune` removes records: whole months, older than what it is told and
never younger than a year, and only up to a record whose leaf the notary signed.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"

STATEMENTS = (
    "CREATE SCHEMA access",
    """CREATE TABLE access.record (
           position bigint PRIMARY KEY, at timestamptz NOT NULL, actor text NOT NULL, about uuid[] NOT NULL,
           entry bytea NOT NULL, leaf bytea NOT NULL)""",
    "CREATE INDEX record_at ON access.record (at)",
    "CREATE INDEX record_actor ON access.record (actor, position)",
    # A short list of what is not in the index yet: emptying a long one would hold up one reader in hundreds.
    "CREATE INDEX record_about ON access.record USING gin (about) WITH (gin_pending_list_limit = 256)",
    """CREATE TABLE access.pruned (
           last bigint PRIMARY KEY, first bigint NOT NULL, records bigint NOT NULL, leaf bytea NOT NULL,
           from_at timestamptz NOT NULL, to_at timestamptz NOT NULL, pruned_at timestamptz NOT NULL DEFAULT now())""",
    """CREATE TABLE access.checkpoint (
           size bigint PRIMARY KEY, note text NOT NULL, signed_at timestamptz NOT NULL DEFAULT now())""",
    """CREATE FUNCTION access.prune(months integer) RETURNS bigint
       LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
       DECLARE
           oldest constant timestamptz := date_trunc('month', now(), 'UTC') - make_interval(months => months);
           upto bigint;
           gone bigint;
       BEGIN
           IF months IS NULL OR months < 12 THEN
               RAISE EXCEPTION 'the access log is kept for 12 months at least';
           END IF;
           PERFORM pg_advisory_xact_lock(7231007);
           SELECT max(c.size) INTO upto FROM access.checkpoint c
            WHERE c.size < coalesce((SELECT min(r.position) FROM access.record r WHERE r.at >= oldest),
                                    (SELECT max(r.position) FROM access.record r));
           IF upto IS NULL OR NOT EXISTS (SELECT FROM access.record r WHERE r.position = upto) THEN
               RETURN 0;
           END IF;
           INSERT INTO access.pruned (last, first, records, leaf, from_at, to_at)
           SELECT upto, min(r.position), count(*), (SELECT leaf FROM access.record WHERE position = upto),
                  min(r.at), max(r.at) FROM access.record r WHERE r.position <= upto;
           DELETE FROM access.record r WHERE r.position <= upto;
           GET DIAGNOSTICS gone = ROW_COUNT;
           RETURN gone;
       END $$""",
    "REVOKE ALL ON FUNCTION access.prune(integer) FROM PUBLIC",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
