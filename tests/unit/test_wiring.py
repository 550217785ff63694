"""The wiring without engines: what a failing handler answers, what is logged and counted, what readiness says."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, redirect_stderr
from typing import Any

import httpx
import orjson
import pytest
import structlog
from faststream.context import ContextRepo
from faststream.message import StreamMessage
from faststream.nats import NatsBroker, TestNatsBroker
from faststream.nats.message import NatsMessage
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest
from pydantic import BaseModel, ValidationError

from events.errors import FieldError, Invalid, SetupError
from services.answering import AnswerFailures, busy
from services.health import Health, ServiceState, http_app
from services.listen import bind, listening
from services.settings import Settings, load
from services.telemetry import (
    brief,
    configure_logging,
    describe,
    make_registry,
    make_tracer_provider,
    subject_group,
    tracing_middleware,
)
from services.wiring import Context, cancel_until_done, make_app, make_broker, make_context, make_engine

NOWHERE = "postgresql+asyncpg://nobody:a-password@127.0.0.1:1/none"


def settings(**more: Any) -> Settings:
    return load(**{"database_url": NOWHERE, "nats_url": "nats://127.0.0.1:1", **more})


@asynccontextmanager
async def context(name: str = "intake") -> AsyncGenerator[Context]:
    made = make_context(settings(), name)
    yield made
    await made.engine.dispose()
    made.tracer_provider.shutdown()


async def failing(subject: str, reply: str, body: bytes) -> bytes:
    """What the sender of this message hears when its handler raises."""
    raw = Msg(Client(), subject=subject, reply=reply, data=body)
    message = NatsMessage(raw_message=raw, body=body)

    async def handler(_message: StreamMessage[Any]) -> None:
        raise ValueError("broken")

    return await AnswerFailures(raw, context=ContextRepo()).consume_scope(handler, message)


class TestAnswers:
    async def test_a_request_whose_handler_fails_gets_busy_without_details(self) -> None:
        event = {"id": "e1", "source": "urn:nld:oin:1:systeem:x", "data": {"note": "secret"}}
        reply = await failing("submit.zorg", "_INBOX.a.b", json.dumps(event).encode())
        assert json.loads(reply) == {
            "id": "e1", "source": "urn:nld:oin:1:systeem:x", "verdict": "busy", "retry_after_s": 1.0,
        }  # fmt: skip

    @pytest.mark.parametrize("reply", ["$JS.ACK.INBOX_zorg.intake.1.2.3.4.0", ""])
    async def test_a_stored_message_is_not_taken_for_handled(self, reply: str) -> None:
        with pytest.raises(ValueError, match="broken"):
            await failing("inbox.zorg.a", reply, b"{}")

    async def test_the_metrics_know_groups_of_subjects_only(self) -> None:
        registry = make_registry("intake")
        broker = make_broker(settings(), name="intake", registry=registry)

        @broker.subscriber("submit.*")
        async def submit(body: Any) -> bytes:
            return orjson.dumps(body)

        async with TestNatsBroker(broker) as nats:
            await nats.publish(b"{}", "submit.zorg")
        metrics = generate_latest(registry).decode()
        assert 'handler="submit",status="acked"' in metrics
        assert "zorg" not in metrics

    @pytest.mark.parametrize(
        ("body", "ids"),
        [
            (b'[{"id":"a"},7,{"id":3}]', ["a", None, None]),
            (b"[]", []),
            (b"no json \xff", None),
            (b'"text"', None),
            (orjson.dumps([{"id": "a"}] * 1_000), ["a"] * 1_000),
            # What no door takes hears it once, not a million times.
            (orjson.dumps([{"id": "a"}] * 1_001), None),
            (b'{"id":"a","data":"' + b" " * (4 << 20) + b'"}', None),
        ],
    )
    def test_an_array_gets_one_busy_each(self, body: bytes, ids: list[str | None] | None) -> None:
        answer: Any = json.loads(busy(body))
        expected = {"source": None, "verdict": "busy", "retry_after_s": 1.0}
        assert answer == ({"id": None, **expected} if ids is None else [{"id": one, **expected} for one in ids])


class TestReadiness:
    @pytest.mark.parametrize(
        ("said", "opened", "nats", "database", "expected"),
        [
            ("ready", True, True, True, "ready"),
            ("ready", False, True, True, "starting"),
            ("ready", True, False, True, "paused"),
            ("ready", True, True, False, "paused"),
            ("starting", False, False, False, "starting"),
            ("diverged", True, True, True, "diverged"),
            ("paused", True, True, True, "paused"),
        ],
    )
    async def test_ready_means_that_it_takes_work(
        self, said: Any, opened: bool, nats: bool, database: bool, expected: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def answers(_engine: Any) -> bool:
            return database

        monkeypatch.setattr("services.health.engine_answers", answers)
        engine = make_engine(settings())
        health = Health(ServiceState("intake", said, opened=opened), engine, lambda: nats, make_registry("intake"))
        assert (await health.report())["state"] == expected
        await engine.dispose()

    async def test_the_port_tells_it_over_http(self) -> None:
        async with context() as ctx:
            ctx.state.set("ready")
            ctx.state.opened = True
            async with listening(http_app(ctx.health), "127.0.0.1", 0) as port, httpx.AsyncClient() as http:
                at = f"http://127.0.0.1:{port}"
                assert (await http.get(f"{at}/healthz")).status_code == 200
                ready = await http.get(f"{at}/readyz")
                assert (ready.status_code, ready.json()["detail"]) == (503, "NATS is not connected")
                metrics = await http.get(f"{at}/metrics")
                assert "relatieboek_ready 0.0" in metrics.text
                assert (await http.get(f"{at}/elsewhere")).status_code == 404
                assert (await http.post(f"{at}/readyz")).status_code == 404

    def test_a_taken_port_is_one_clear_line(self) -> None:
        with bind("127.0.0.1", 0) as first:
            first.listen()
            with pytest.raises(SetupError, match="is niet vrij"):
                bind("127.0.0.1", first.getsockname()[1])


class TestContext:
    async def test_a_part_that_breaks_is_told_once(self) -> None:
        async def breaks() -> None:
            raise Invalid("schema", [FieldError("/data", "wrong")])

        async with context() as ctx:
            ctx.broken = asyncio.get_running_loop().create_future()
            first, second = ctx.run(breaks(), name="a"), ctx.run(breaks(), name="b")
            await asyncio.wait({first, second})
            with pytest.raises(Invalid):
                await ctx.broken
            assert not ctx.tasks

    async def test_a_swallowed_cancellation_is_asked_again(self) -> None:
        swallowed = 0

        async def stubborn() -> None:
            nonlocal swallowed
            while swallowed < 2:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    swallowed += 1
            await asyncio.Event().wait()

        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        await cancel_until_done(task)
        assert task.cancelled()
        assert swallowed == 2

    async def test_every_service_is_a_faststream_app(self) -> None:
        registered: list[str] = []

        def register(broker: NatsBroker, ctx: Context) -> None:
            registered.append(ctx.name)
            broker.subscriber("submit.*")

        @asynccontextmanager
        async def setup(_context: Context) -> AsyncGenerator[None]:
            yield

        async with context("api") as ctx:
            app = make_app(ctx, setup=setup, register=register)
            assert registered == ["api"]
            assert app.brokers == [ctx.broker]

    def test_without_a_database_there_is_a_clear_line(self) -> None:
        with pytest.raises(SetupError, match="DATABASE_URL"):
            make_engine(settings(database_url=""))


class TestLogs:
    def test_an_error_is_logged_without_what_a_department_sent(self) -> None:
        class Contract(BaseModel):
            number: int

        secret = "123456782"
        with redirect_stderr(io.StringIO()) as out:
            configure_logging(settings(log_json=True), "intake")
            log = structlog.get_logger("services.test")
            try:
                Contract.model_validate({"number": f"patient {secret}"})
            except ValidationError as error:
                log.error("failed", exc_info=error)
            logging.getLogger("asyncio").error("never retrieved", exc_info=ValueError(secret))
        assert secret not in out.getvalue()
        first, second = [json.loads(line) for line in out.getvalue().splitlines()]
        assert first["service"] == "intake"
        assert first["level"] == "error"
        assert first["exception"][0]["type"].endswith("ValidationError")
        assert second["exception"][0]["type"] == "builtins.ValueError"

    def test_causes_and_groups_are_told(self) -> None:
        try:
            try:
                raise OSError(98, "Address already in use")
            except OSError as error:
                raise SetupError("poort bezet") from error
        except SetupError as error:
            told = describe(ExceptionGroup("several", [error]))
        assert [one["type"].rsplit(".", 1)[-1] for one in told] == ["ExceptionGroup", "SetupError", "OSError"]
        assert "text" not in told[0]
        assert told[1]["text"] == "poort bezet"

    def test_in_one_line(self) -> None:
        assert brief(NoRespondersError()) == "NoRespondersError: nats: no responders available for request"
        assert brief(KeyError("a person's name")) == "KeyError"


class TestMetricsAndTraces:
    @pytest.mark.parametrize(
        ("subject", "group"),
        [
            ("submit.zorg", "submit"),
            ("inbox.zorg.a.b", "inbox"),
            ("live.relation.8b0c1a8e-2b43-4a0e-9f57-0f3f5a1d2c11", "live.relation"),
            ("relatieboek.contact.held.zorg", "relatieboek.contact.held"),
            ("health.intake", "health.intake"),
            ("_INBOX.9d8f7.x", "other"),
            ("$JS.API.INFO", "other"),
        ],
    )
    def test_subjects_become_a_bounded_set(self, subject: str, group: str) -> None:
        assert subject_group(subject) == group

    async def test_spans_go_where_there_is_an_exporter(self) -> None:
        exporter = InMemorySpanExporter()
        provider = make_tracer_provider(settings(trace_ratio=1.0), "intake", exporter)
        broker = NatsBroker("nats://127.0.0.1:1", middlewares=(tracing_middleware(provider),), logger=None)

        @broker.subscriber("submit.*")
        async def submit(body: Any) -> bytes:
            return orjson.dumps(body)

        async with TestNatsBroker(broker) as nats:
            await nats.request(b"{}", "submit.zorg")
        provider.force_flush()
        assert exporter.get_finished_spans()
        provider.shutdown()

    def test_without_an_endpoint_nothing_is_recorded(self) -> None:
        provider = make_tracer_provider(settings(), "intake")
        assert not provider.get_tracer("t").start_span("s").is_recording()
        assert not any(isinstance(p, BatchSpanProcessor) for p in vars(provider).values())
