"""How long the access log is kept stands in a row of the owner (spelled out; see 0001).

Before, who called `access.prune` chose the period: a service that was taken over could have all but a year removed.
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"

STATEMENTS = (
    """CREATE TABLE access.kept (
           one boolean PRIMARY KEY DEFAULT true CHECK (one), months integer NOT NULL CHECK (months >= 12))""",
    "INSERT INTO access.kept (months) VALUES (60)",
    "DROP FUNCTION access.prune(integer)",
    """CREATE FUNCTION access.prune() RETURNS bigint
       LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
       DECLARE
           oldest timestamptz;
           upto bigint;
           gone bigint;
       BEGIN
           SELECT date_trunc('month', now(), 'UTC') - make_interval(months => k.months) INTO STRICT oldest
             FROM access.kept k;
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
    "REVOKE ALL ON FUNCTION access.prune() FROM PUBLIC",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
