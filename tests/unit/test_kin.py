"""Who belongs to whom after merges and unmerges (projections/kin.py)."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from sqlalchemy import Column, Integer, MetaData, Table, Text

from events.recorded import Recorded
from projections.kin import ALL, Kin, alias_needs, alias_table, fold_alias, united
from projections.rows import Group, MemoryRows
from tests.given import Book

A, B, C, D, E = (f"0b1f5b0e-7d0a-5c55-9a58-1f3a54f0a10{n}" for n in range(1, 6))


def _metadata() -> MetaData:
    metadata = MetaData()
    alias_table(metadata)
    Table("relation", metadata, Column("relation", Text, primary_key=True), Column("contacts_total", Integer))
    Table("line", metadata, Column("relation", Text, primary_key=True), Column("line", Text, primary_key=True))
    return metadata


def _told(*facts: tuple[str, str, str, str]) -> list[Recorded]:
    book = Book()
    for kind, survivor, absorbed, on in facts:
        data: dict[str, Any] = {"survivor": survivor, "absorbed": absorbed, "occurred_on": on}
        book.tell(f"relation.{kind}", data, survivor, absorbed=absorbed)
    return book.events


def _folded(events: list[Recorded]) -> MemoryRows:
    rows = MemoryRows(_metadata())
    for event in events:
        fold_alias(rows, event)
    return rows


def _kin(*facts: tuple[str, str, str, str]) -> Kin:
    return Kin.of(_folded(_told(*facts)).group("alias", ALL))


def test_a_relation_that_was_never_merged_is_its_own_root() -> None:
    kin = _kin()
    assert not kin
    assert (kin.root(A), kin.members(A), kin.absorbed(A)) == (A, [A], False)


def test_a_chain_of_merges_four_deep_has_one_root() -> None:
    chain = [("merged", B, A, "2020-01-01"), ("merged", C, B, "2021-01-01"), ("merged", D, C, "2022-01-01"),
             ("merged", E, D, "2023-01-01")]  # fmt: skip
    for order in permutations(chain):
        kin = _kin(*order)
        assert [kin.root(r) for r in (A, B, C, D, E)] == [E] * 5
        assert kin.members(B) == kin.members(E) == [E, A, B, C, D]
        assert not kin.absorbed(E)
        roots = {row["absorbed"]: row["root"] for row in _folded(_told(*order)).group("alias", ALL)}
        assert roots == dict.fromkeys((A, B, C, D), E)


def test_an_unmerge_in_the_middle_takes_everything_below_with_it() -> None:
    facts = [("merged", B, A, "2020-01-01"), ("merged", C, B, "2021-01-01"), ("merged", D, C, "2022-01-01"),
             ("unmerged", C, B, "2023-01-01")]  # fmt: skip
    kin = _kin(*facts)
    assert kin.members(A) == [B, A]
    assert kin.members(D) == [D, C]
    rows = _folded(_told(*facts)).group("alias", ALL)
    assert {r["absorbed"]: r["root"] for r in rows} == {A: B, B: None, C: D}


def test_a_merge_undone_and_done_again_on_one_day_stands_as_the_book_took_it() -> None:
    assert _kin(("merged", B, A, "2020-01-01"), ("unmerged", B, A, "2020-01-01")).root(A) == A
    again = [("merged", B, A, "2020-01-01"), ("unmerged", B, A, "2020-01-01"), ("merged", C, A, "2020-01-01")]
    assert _kin(*again).root(A) == C


def test_an_earlier_day_that_leaves_out_an_unmerge_shows_no_circle() -> None:
    # Told in this order: A into B, undone, B into A; on 15 March only the first and the last are in sight.
    kin = _kin(("merged", B, A, "2020-03-01"), ("merged", A, B, "2020-02-01"))
    assert kin.root(A) == kin.root(B) == A


def test_only_merges_need_the_table() -> None:
    book = Book()
    assert alias_needs(book.register()) == []
    assert alias_needs(_told(("merged", B, A, "2020-01-01"))[0]) == [Group("alias", ALL)]


def test_the_union_reads_as_the_root() -> None:
    rows = _folded(_told(("merged", B, A, "2020-01-01")))
    for relation, contacts in ((A, 2), (B, 3)):
        rows.put("relation", {"relation": relation, "contacts_total": contacts})
        rows.put("line", {"relation": relation, "line": f"l-{contacts}"})
    seen, members = united(rows, A)
    assert members == [B, A]
    assert seen.get("relation", B) == {"relation": B, "contacts_total": 5}
    assert [line["line"] for line in seen.group("line", B)] == ["l-3", "l-2"]
    assert seen.get("line", B, "l-2") == {"relation": A, "line": "l-2"}
    assert seen.get("line", B, "l-9") is None
    assert rows.get("relation", B) == {"relation": B, "contacts_total": 3}
