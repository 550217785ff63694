"""Satisfaction view: given these events, a reader sees this."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from events.recorded import ORGANISATION
from projections.rows import fold
from projections.satisfaction_present import present_satisfaction, rounds_of, staff_of
from projections.satisfaction_view import PROJECTION
from projections.viewer import DEPARTMENT
from tests.given import HAAG, NPS, Book

NOW = datetime(2026, 6, 30, 10, tzinfo=UTC)


def surveyed(scores: list[tuple[str, int]], *, anonymous: bool = True, **wording: Any) -> Book:
    book = Book()
    book.register()
    book.tell("satisfaction.instrument_defined", {**NPS, "min_n": 3, **wording}, ORGANISATION)
    for n, (on, score) in enumerate(scores, 1):
        data = {"response": f"r-{n}", "instrument": "nps-2026", "score": score, "anonymous": anonymous}
        book.tell("satisfaction.scored", {**data, "layer": "board", "occurred_on": on})
    return book


def see(book: Book, hidden: int = 0) -> dict[str, Any]:
    seen = present_satisfaction(fold(PROJECTION, book.events), HAAG, NOW, hidden=hidden)
    assert seen is not None
    return seen


def test_figures_with_bands_and_a_trend_per_quarter() -> None:
    scores = [("2026-01-10", 9), ("2026-02-10", 10), ("2026-03-10", 8), ("2026-04-10", 3), ("2026-05-10", 7),
              ("2026-06-10", 5)]  # fmt: skip
    (figure,) = see(surveyed(scores))["figures"]
    assert (figure["n"], figure["mean"], figure["nps"]) == (6, 7.0, 0.0)
    assert figure["bands"] == [{"name": "low", "n": 2}, {"name": "middle", "n": 2}, {"name": "high", "n": 2}]
    assert [(q["quarter"], q["n"], q["nps"]) for q in figure["trend"]] == [("2026-Q1", 3, 66.7), ("2026-Q2", 3, -66.7)]
    assert figure["direction"] == "down"
    assert figure["layers"][0]["layer"] == "board"


def test_fewer_than_min_n_answers_give_no_figure_anywhere() -> None:
    (figure,) = see(surveyed([("2026-01-10", 9), ("2026-02-10", 1)]))["figures"]
    assert (figure["n"], figure["mean"], figure["nps"], figure["low_share"], figure["bands"]) == (2, *[None] * 4)
    assert figure["trend"] == [{"quarter": "2026-Q1", "n": 2, "mean": None, "nps": None, "low_share": None}]
    assert (figure["direction"], figure["layers"][0]["mean"], figure["evidence"]) == (None, None, [])


def test_one_anonymous_answer_is_no_figure_however_low_min_n_is() -> None:
    assert see(surveyed([("2026-01-10", 9)], min_n=1))["figures"][0]["mean"] is None
    assert see(surveyed([("2026-01-10", 9)], min_n=1, anonymous=False))["figures"][0]["mean"] == 9.0


def test_there_is_no_trend_across_wordings() -> None:
    book = surveyed([("2026-01-10", 9)] * 3)
    book.tell(
        "satisfaction.instrument_defined",
        {**NPS, "min_n": 3, "wording_version": 2, "occurred_on": "2026-04-01"},
        ORGANISATION,
    )
    for n in range(4, 7):
        data = {"response": f"r-{n}", "instrument": "nps-2026", "score": 2, "anonymous": True}
        book.tell("satisfaction.scored", {**data, "occurred_on": "2026-04-10"})
    seen = see(book)["figures"]
    assert [(f["wording_version"], f["mean"], len(f["trend"]), f["direction"]) for f in seen] == [
        (1, 9.0, 1, None), (2, 2.0, 1, None),
    ]  # fmt: skip


def opened(book: Book, response: str = "r-1") -> None:
    data = {"loop": "l-1", "response": response, "instrument": "nps-2026", "due_on": "2026-06-01", "evidence": [3]}
    book.tell("loop.opened", {**data, "silent": False, "owner": "ref~1", "occurred_on": "2026-05-28"})


def test_a_loop_is_open_then_followed_up_then_closed() -> None:
    book = surveyed([("2026-05-28", 2)], anonymous=False)
    opened(book)
    book.tell("loop.escalated", {"loop": "l-1", "level": 1, "occurred_on": "2026-06-02"})
    (loop,) = see(book)["loops"]
    assert (loop["state"], loop["late"], loop["level"], loop["owner"]) == ("open", True, 1, "ref~1")
    assert (loop["response"], loop["evidence"]) == ("r-1", [3, 4, 5])
    said = {"loop": "l-1", "evidence": [6], "occurred_at": "2026-06-03T10:00:00+02:00"}
    book.tell("loop.followed_up", said)
    assert (see(book)["loops"][0]["state"], see(book)["loops_late"]) == ("followed_up", 0)
    book.tell("loop.closed", {"loop": "l-1", "reason": "followed_up", "evidence": [6], "occurred_on": "2026-06-03"})
    assert (see(book)["loops"][0]["state"], see(book)["loops_open"]) == ("closed", 0)


def test_a_loop_about_an_anonymous_answer_does_not_point_at_it() -> None:
    book = surveyed([("2026-05-28", 2)])
    opened(book)
    (loop,) = see(book)["loops"]
    assert (loop["response"], loop["evidence"]) == (None, [])


def test_restricted_reports_are_left_out_but_restricted_scores_are_counted() -> None:
    book = surveyed([("2026-01-10", 9)] * 2)
    data = {"response": "r-9", "instrument": "nps-2026", "score": 9, "anonymous": True, "occurred_on": "2026-01-11"}
    book.tell("satisfaction.scored", data, visibility="department")
    complaints = {"period": "2026-Q1", "count": 3, "resolved": 1, "occurred_on": "2026-04-01"}
    book.tell("satisfaction.complaints_reported", complaints, visibility="department")
    outcome = {"indicator": "waiting_time", "period": "2026-Q1", "value": 12.5, "occurred_on": "2026-04-01"}
    book.tell("satisfaction.outcome_reported", outcome)
    assert (see(book)["complaints"][0]["count"], see(book)["outcomes"][0]["unit"]) == (3, "days")
    seen = see(book, hidden=DEPARTMENT)
    assert (seen["complaints"], seen["figures"][0]["n"], len(seen["outcomes"])) == ([], 3, 1)


def test_rounds_have_the_answers_since_the_round_before() -> None:
    book = surveyed([("2026-01-10", 9)] * 3 + [("2026-04-10", 7)] * 4)
    for name, on in (("w-1", "2026-03-31"), ("w-2", "2026-06-30")):
        data = {"round": name, "instrument": "nps-2026", "wording_version": 1, "invited": 10, "occurred_on": on}
        book.tell("satisfaction.round_closed", data, ORGANISATION)
    rows = fold(PROJECTION, book.events)
    found = rounds_of(
        rows.tables["survey_round"].values(),
        rows.group("response", HAAG),
        {"nps-2026": rows.group("instrument", "nps-2026")},
    )
    assert [(r["round"], r["n"], r["mean"], r["invited"]) for r in found] == [("w-1", 3, 9.0, 10), ("w-2", 4, 7.0, 10)]


def test_staff_scores_of_few_are_not_shown_and_the_latest_report_stands() -> None:
    book = Book()
    for n, on, score in ((4, "2026-04-01", 6.0), (40, "2026-04-02", 7.5)):
        data = {"period": "2026-Q1", "unit": "Wijk", "n": n, "score": score, "occurred_on": on}
        book.tell("satisfaction.staff_reported", data, ORGANISATION)
        (unit,) = staff_of(fold(PROJECTION, book.events).tables["staff"].values())
        assert (unit["n"], unit["score"]) == ((4, None) if n == 4 else (40, 7.5))


def test_a_relation_that_is_not_registered_is_not_there() -> None:
    assert present_satisfaction(fold(PROJECTION, []), HAAG, NOW, hidden=0) is None
