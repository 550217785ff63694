"""Alerts: the list, one of them, and what a reader may do with it. What they do is an event in the book."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import NAMESPACE_URL, uuid5

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from events.clock import book_now
from events.errors import FieldError, Invalid, NotFound
from events.identity import is_uuid
from events.recorded import iso, local_date
from projections import contact_alerts
from projections.alert_queries import list_alerts, show_alert, version_of
from projections.viewer import Viewer
from services.api.acting import body_of, said, send
from services.api.answering import json_response, list_response, render
from services.api.asking import HasParts, NoKeys, Paging, Reader, UpTo
from services.api.parts import Parts
from services.api.publish import verdict_response
from services.api.reading import read_body
from services.problems import refuse

MAX_BODY_BYTES: Final = 4 * 1024

router = APIRouter(prefix="/v1", tags=["alerts"])
_alerts = Depends(UpTo(contact_alerts.PROJECTION))


class AlertsAsked(Paging):
    state: Literal["open", "acknowledged", "snoozed", "escalated", "resolved", "all"] | None = Field(
        None, description="none: all"
    )
    owner: str | None = Field(None, max_length=100, description="id of the employee who owns the line")
    team: str | None = Field(None, max_length=100, description="alerts of relations that this team has now")
    tier: str | None = Field(None, max_length=20, description="alerts of relations of this tier")
    rule: str | None = Field(None, max_length=64, description="alerts of this rule, as contact_overdue")


@router.get("/alerts", operation_id="listAlerts", dependencies=[_alerts])
async def list_all(
    request: Request, parts: HasParts, viewer: Reader, asked: Annotated[AlertsAsked, Query()]
) -> Response:
    """Alerts, last raised first."""
    async with parts.reading() as conn:
        owner = None
        if asked.owner is not None:
            owner = await parts.privacy.ref_of(conn, "employee", asked.owner)
            if owner is None:
                return list_response(request, [], None)
        page = await list_alerts(
            conn, state=asked.state, owner_ref=owner, team=asked.team, tier=asked.tier, rule=asked.rule,
            cursor=asked.cursor, limit=asked.limit, now=await book_now(conn), viewer=viewer, calendar=parts.calendar,
            silent_after=parts.settings.silent_working_days,
        )  # fmt: skip
        items = await parts.privacy.reveal(conn, page.items)
    return list_response(request, items, page.next)


@router.get("/alerts/{id}", operation_id="showAlert", dependencies=[_alerts])
async def show_one(id: str, parts: HasParts, viewer: Reader, _: NoKeys) -> Response:
    """One alert: rule, line, days overdue, and the events that caused it."""
    async with parts.reading() as conn:
        found = await _alert(parts, conn, viewer, id, await book_now(conn))
        document = await parts.privacy.reveal(conn, found)
    return json_response(document)


class Done(BaseModel):
    """Nothing needs to be said; an empty body will do."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PutOff(Done):
    """Until when."""

    until: date = Field(description="first day on which it shows again, at most 20 working days (default) ahead")
    reason: str | None = Field(None, min_length=1, max_length=1000, description="why")


@router.post(
    "/alerts/{id}/_acknowledge",
    operation_id="acknowledgeAlert",
    dependencies=[_alerts],
    openapi_extra=body_of(Done, required=False),
)
async def acknowledge(id: str, request: Request, parts: HasParts, viewer: Reader, _: NoKeys) -> Response:
    """Says that somebody took the alert up. Answers the verdict on the event `alert.acknowledged`."""
    said(Done, await read_body(request, MAX_BODY_BYTES))
    alert, now = await _open_alert(parts, viewer, id)
    return await _publish(parts, viewer, alert, "acknowledged", {"occurred_at": iso(now)})


@router.post(
    "/alerts/{id}/_snooze",
    operation_id="snoozeAlert",
    dependencies=[_alerts],
    openapi_extra=body_of(PutOff, required=True),
)
async def snooze(id: str, request: Request, parts: HasParts, viewer: Reader, _: NoKeys) -> Response:
    """Puts the alert off until a day: not too far (20 working days by default), and not for ever (3 times by default).

    Answers the verdict on the event `alert.snoozed`.
    """
    wish = said(PutOff, await read_body(request, MAX_BODY_BYTES))
    alert, now = await _open_alert(parts, viewer, id)
    today, settings = local_date(now), parts.settings
    last = parts.calendar.add_working_days(today, settings.snooze_working_days)
    if not today < wish.until <= last:
        raise Invalid("rule", [FieldError("/until", f"must be a day after today, and at the latest {last}")])
    if alert["snoozes"] >= settings.snoozes:
        detail = f"this alert was put off {alert['snoozes']} times already; take it up, or resolve it"
        raise refuse("state", "/id", detail)
    reason = {} if wish.reason is None else {"reason": wish.reason}
    put_off = {"until": wish.until.isoformat(), "occurred_at": iso(now), **reason}
    # Of two who put it off at the same instant one hears a conflict: else they could go over the bound together.
    return await _publish(parts, viewer, alert, "snoozed", put_off, expectedversion=alert["version"])


@router.post(
    "/alerts/{id}/_resolve",
    operation_id="resolveAlert",
    dependencies=[_alerts],
    openapi_extra=body_of(Done, required=False),
)
async def resolve(id: str, request: Request, parts: HasParts, viewer: Reader, _: NoKeys) -> Response:
    """Ends the alert by hand, for this due date. Answers the verdict on the event `alert.resolved`, reason `manual`."""
    said(Done, await read_body(request, MAX_BODY_BYTES))
    alert, now = await _open_alert(parts, viewer, id)
    data: dict[str, Any] = {"reason": "manual", "evidence": [], "occurred_on": local_date(now).isoformat()}
    return await _publish(parts, viewer, alert, "resolved", data)


async def _alert(parts: Parts, conn: AsyncConnection, viewer: Viewer, id_: str, now: datetime) -> dict[str, Any]:
    silent_after = parts.settings.silent_working_days
    found = await show_alert(conn, id_, now, viewer, parts.calendar, silent_after) if is_uuid(id_) else None
    if found is None:
        raise NotFound("No such alert, or not one of yours.")
    return found


async def _open_alert(parts: Parts, viewer: Viewer, id_: str) -> tuple[dict[str, Any], datetime]:
    """The alert, with the `version` of its relation that it shows, and the book's now. Raises Refused (409) when the
    alert is over."""
    async with parts.reading() as conn:
        now = await book_now(conn)
        alert = await _alert(parts, conn, viewer, id_, now)
        alert["version"] = await version_of(conn, _recorded_under(alert))
    if alert["state"] != "open":
        raise refuse("state", "/id", "this alert is resolved; there is nothing left to do about it")
    return alert, now


async def _publish(
    parts: Parts, viewer: Viewer, alert: Mapping[str, Any], event: str, data: Mapping[str, Any], **attributes: Any
) -> Response:
    """Sends one event about an alert, as the book's own, and answers its verdict.

    The id is made of the alert, what is done, by whom, and what the alert was like: the same request sent twice is one
    event, and the same act on an alert that came back is another.
    """
    was = ("raised_at", "acknowledged_at", "snoozed_until", "snoozes", "evidence", "resolution_evidence")
    cause = render([alert["id"], event, viewer.name, data.get("until"), *(alert.get(name) for name in was)])
    id_ = str(uuid5(NAMESPACE_URL, f"urn:relatieboek:alert:{cause.decode()}"))
    done = {"alert": alert["id"], **data}
    return verdict_response(
        await send(parts, viewer, f"alert.{event}", _recorded_under(alert), done, id_=id_, **attributes)
    )


def _recorded_under(alert: Mapping[str, Any]) -> str:
    """The relation whose history has the alert, also where that was absorbed since."""
    return str(alert.get("recorded_under", alert["relation"]))
