"""Editing one question of a relation plan over HTTP: two editors never overwrite each other (ETag and If-Match).

What an editor writes is an event `plan.question_answered` of the book's own, with `expectedversion`: who was first is
decided where everything is decided, also against a department that answers the same question by events.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final
from uuid import uuid4

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from events.clock import book_now, system_now
from events.errors import FieldError, NotFound
from events.fields import QUESTION_FORM
from events.identifiers import IDENT_FORM
from events.recorded import AMSTERDAM, Recorded, local_date
from projections import relation_view
from projections.plan_question import Question, read_question
from projections.relation_queries import show
from projections.sight import NO_RELATION
from projections.viewer import Viewer, hidden_bits, restriction
from services.api.acting import body_of, said, send
from services.api.answering import json_response, problem_response
from services.api.asking import Asked, HasParts, Reader, UpTo, relation_named
from services.api.parts import Parts
from services.api.publish import verdict_response
from services.api.reading import read_body
from services.problems import Answer, describe, refuse

MAX_BODY_BYTES: Final = 32 * 1024
_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
_OURS: Final = re.compile(r'"(\d{1,18})\.(\d{1,18})"')

router = APIRouter(prefix="/v1", tags=["relations"])
_view = Depends(UpTo(relation_view.PROJECTION))

QuestionName = Annotated[
    str, Path(pattern=QUESTION_FORM, description="the question, `1` to `10` or a key of one's own")
]
IfMatch = Annotated[
    str | None, Header(alias="If-Match", description="the ETag of the answer that this one is to replace")
]


class PlanAsked(Asked):
    plan: str | None = Field(None, pattern=IDENT_FORM, description="id of the plan; none: the plan of now")


class NewAnswer(BaseModel):
    """The answer in place of the one that was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answer: str = Field(description="the new answer")


class _Place:
    """Which question of which plan of which relation, for a viewer who may see it."""

    def __init__(self, seen: dict[str, Any], plan: str, question: str) -> None:
        self.relation: str = seen["id"]
        self.absorbed: Sequence[str] = seen.get("absorbed") or ()
        self.plan, self.question = plan, question

    async def read(self, conn: AsyncConnection) -> Question:
        return await read_question(conn, self.relation, self.absorbed, self.plan, self.question)


@router.get("/relations/{id}/plan/questions/{question}", operation_id="showPlanQuestion", dependencies=[_view])
async def show_question(
    id: str, question: QuestionName, parts: HasParts, viewer: Reader, asked: Annotated[PlanAsked, Query()]
) -> Response:
    """One question of the plan as it stands in the book, with the ETag to change it by. Nobody answered it yet:
    `answer` is null, and there is an ETag all the same."""
    async with parts.reading() as conn:
        place = await _place(parts, conn, viewer, id, question, asked.plan)
        found = await place.read(conn)
        document = await _document(parts, conn, viewer, place, found)
    return json_response(document, headers=_tagged(found))


@router.put(
    "/relations/{id}/plan/questions/{question}",
    operation_id="answerPlanQuestion",
    dependencies=[_view],
    openapi_extra=body_of(NewAnswer, required=True),
)
async def answer_question(
    id: str, question: QuestionName, request: Request, parts: HasParts, viewer: Reader,
    asked: Annotated[PlanAsked, Query()], if_match: IfMatch = None,
) -> Response:  # fmt: skip
    """Answers the question in place of the answer that `If-Match` names. Someone else was first: 409, with the other's
    answer as `current` and its ETag; nothing is overwritten. The same answer as stands already changes nothing."""
    new = said(NewAnswer, await read_body(request, MAX_BODY_BYTES))
    tags = _tags(if_match)
    async with parts.reading() as conn:
        now = await book_now(conn)
        place = await _place(parts, conn, viewer, id, question, asked.plan)
        found = await place.read(conn)
        document = await _document(parts, conn, viewer, place, found)
    if found.answer is not None and _hidden(found.answer, viewer):
        raise refuse("forbidden", "/question", "this answer is not for you to see, and so not to replace")
    if found.answer is not None and document["answer"] == new.answer:
        return json_response(document, headers=_tagged(found))
    if not any(tag == f'"{found.tag}"' or (tag == "*" and found.answer is not None) for tag in tags):
        return _refused(_why(tags, found), document, found)
    occurred_on = local_date(now).isoformat()
    if found.answer is not None:  # what the editor saw was replaced, also if it was dated ahead
        occurred_on = max(occurred_on, str(found.answer.data["occurred_on"]))
    verdict = await send(
        parts, viewer, "plan.question_answered", place.relation,
        {"plan": place.plan, "question": question, "answer": new.answer, "occurred_on": occurred_on},
        # Of two answers of one day the greater `time` as sent stands: said as departments here say it.
        id_=str(uuid4()), time=system_now().astimezone(AMSTERDAM).isoformat(), expectedversion=found.version,
    )  # fmt: skip
    conflict = "conflicting" in (verdict.get("problem") or {})
    if verdict["verdict"] != "accepted" and not conflict:
        return verdict_response(verdict)
    async with parts.reading() as conn:
        now_found = await place.read(conn)
        document = await _document(parts, conn, viewer, place, now_found)
    if conflict:
        return _refused("conflict", document, now_found)
    return json_response(document, headers=_tagged(now_found))


def _tags(if_match: str | None) -> list[str]:
    """The entity tags of an If-Match header (RFC 9110, 13.1.1). Raises Refused: 428 without, 400 when malformed."""
    if if_match is None:
        detail = "read the question first, and send the ETag of the answer as If-Match"
        raise refuse("precondition_required", "/header/If-Match", detail)
    tags = [tag.strip() for tag in if_match.split(",") if tag.strip()]
    if not tags or (tags != ["*"] and not all(_TAG.fullmatch(tag) for tag in tags)):
        raise refuse("request", "/header/If-Match", 'must be entity tags, as in "7.1234"')
    return tags


def _why(tags: Sequence[str], found: Question) -> str:
    """`conflict` when the answer was changed since; `precondition` for a tag that this question never had."""
    position = 0 if found.touched is None else found.touched.position
    earlier = any(
        ours and int(ours[1]) <= found.version and int(ours[2]) < position for ours in map(_OURS.fullmatch, tags)
    )
    return "conflict" if earlier else "precondition"


def _refused(code: str, document: dict[str, Any], found: Question) -> Response:
    """A problem document that shows what stands now, and by whom, so that nothing is lost on either side."""
    detail = "someone else changed this answer; read `current`, and send your change again with its ETag as If-Match"
    if code == "precondition":
        detail = "this ETag is not one of this question; read it, and send its ETag as If-Match"
    problem = describe(code, [FieldError("/header/If-Match", detail)])
    problem["current"] = document
    touched = found.touched
    if touched is not None:
        problem["conflicting"] = {
            "sequence": f"{touched.position:020d}", "version": touched.version, "type": touched.type,
            "department": touched.department, "actor": touched.actor, "source": touched.source, "id": touched.id,
        }  # fmt: skip
    return problem_response(Answer(problem["status"], problem, _tagged(found)))


def _tagged(found: Question) -> dict[str, str]:
    return {"ETag": f'"{found.tag}"'}


def _hidden(event: Recorded, viewer: Viewer) -> bool:
    return bool(restriction(event) & hidden_bits(viewer))


async def _place(
    parts: Parts, conn: AsyncConnection, viewer: Viewer, id_: str, question: str, plan: str | None
) -> _Place:
    """Raises NotFound for a relation that is not there or not this viewer's, or when no plan is named nor made."""
    relation = await relation_named(conn, id_)
    seen = await show(conn, relation, await book_now(conn), viewer, parts.rules)
    if seen is None:
        raise NotFound(NO_RELATION)
    plan = plan or seen["plan"]["plan"]
    if plan is None:
        raise NotFound("This relation has no plan yet; name the one to begin as ?plan=.")
    return _Place(seen, plan, question)


async def _document(
    parts: Parts, conn: AsyncConnection, viewer: Viewer, place: _Place, found: Question
) -> dict[str, Any]:
    answer, touched = found.answer, found.touched
    shown = answer is not None and not _hidden(answer, viewer)
    document = {
        "relation": place.relation,
        "plan": place.plan,
        "question": place.question,
        "answer": answer.data["answer"] if shown and answer is not None else None,
        "answered_on": None if answer is None else answer.data["occurred_on"],
        "department": None if answer is None else answer.department,
        "actor": None if answer is None else answer.actor,
        "recorded_at": None if touched is None else touched.recorded_at,
        "version": found.version,
        "position": 0 if touched is None else touched.position,
        "etag": f'"{found.tag}"',
    }
    return await parts.privacy.reveal(conn, document)
