"""Logs, metrics and traces of every service. No personal data, no secrets and no unbounded label in any of them.

An exception is logged as its type and the places that it passed. Its text is added only for errors whose text cannot
hold what a department sent: our own, and those of the operating system and of the NATS client. A pydantic error
repeats its input and a PostgreSQL error the row that broke a constraint.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

import structlog
from faststream.nats.opentelemetry import NatsTelemetryMiddleware
from faststream.nats.prometheus.provider import BatchNatsMetricsSettingsProvider, NatsMetricsSettingsProvider
from faststream.prometheus.middleware import PrometheusMiddleware
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from prometheus_client import CollectorRegistry, GCCollector, Info, PlatformCollector, ProcessCollector

from events.errors import RelatieboekError, SetupError

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence
    from types import TracebackType

    from faststream.message import StreamMessage
    from faststream.nats.response import NatsPublishCommand
    from faststream.prometheus import ConsumeAttrs
    from faststream.response import PublishCommand
    from opentelemetry.sdk.trace.export import SpanExporter

    from services.settings import Settings

_SAFE_TEXT: Final = (RelatieboekError, OSError, NatsError)
_FRAMES: Final = 15

# First token of a subject -> how many tokens are kept: the second token of `submit.<department>` grows without bound.
_SUBJECT_TOKENS: Final = {"submit": 1, "inbox": 1, "verdicts": 1, "live": 2, "relatieboek": 3, "health": 2}


def configure_logging(settings: Settings, service: str = "") -> None:
    """One line per event on stderr, JSON or console by `log_json`, in UTC. Also for the standard library's loggers."""
    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service),
        _exception_without_data,
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer(default=str)]
        if settings.log_json
        else [_frames_as_text, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a test, and `up`, configure more than once in one process
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for ours in ("events", "projections", "services"):
        logging.getLogger(ours).setLevel(settings.log_level.upper())


def _named(service: str) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if service:
            event.setdefault("service", service)
        return event

    return add


def _exception_without_data(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    info: Any = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error: BaseException | None = info[1] if isinstance(info, tuple) else info  # pyright: ignore[reportUnknownVariableType]
    if isinstance(error, BaseException):
        event["exception"] = describe(error)
    return event


def describe(error: BaseException) -> list[dict[str, Any]]:
    """The error and its causes, outermost first: `type`, the `at` places, and `text` where that is safe to show."""
    chain: list[dict[str, Any]] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        chain.append(_one(current))
        if isinstance(current, BaseExceptionGroup):
            for inner in current.exceptions:  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
                chain.extend(describe(inner))  # pyright: ignore[reportUnknownArgumentType]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return chain


def brief(error: BaseException) -> str:
    """The error in one line that may be logged: its type, and its text where that is safe to show."""
    return f"{type(error).__name__}: {error}" if isinstance(error, _SAFE_TEXT) else type(error).__name__


def _one(error: BaseException) -> dict[str, Any]:
    out: dict[str, Any] = {"type": f"{type(error).__module__}.{type(error).__qualname__}"}
    if isinstance(error, _SAFE_TEXT):
        out["text"] = str(error)
    state = getattr(getattr(error, "orig", error), "sqlstate", None)
    if state:
        out["sqlstate"] = str(state)
    out["at"] = _places(error.__traceback__)
    return out


def _places(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-_FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def _frames_as_text(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    chain: Any = event.get("exception")
    if isinstance(chain, list):
        event["exception"] = json.dumps(chain, indent=1)
    return event


def make_registry(service: str) -> CollectorRegistry:
    """A registry of this service's own, with the process's memory, CPU and garbage collection in it."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    Info("relatieboek", "Which service this is", registry=registry).info({"service": service})
    return registry


def subject_group(subject: str) -> str:
    """A subject as a label: `submit.zorg` → `submit`, `live.team.noord` → `live.team`, an inbox → `other`."""
    tokens = subject.split(".")
    keep = _SUBJECT_TOKENS.get(tokens[0])
    return "other" if keep is None else ".".join(tokens[:keep])


class _Grouped(NatsMetricsSettingsProvider):
    def get_consume_attrs_from_message(self, msg: StreamMessage[Msg]) -> ConsumeAttrs:
        attrs = super().get_consume_attrs_from_message(msg)
        return {**attrs, "destination_name": subject_group(attrs["destination_name"])}

    def get_publish_destination_name_from_cmd(self, cmd: PublishCommand) -> str:
        return subject_group(cmd.destination)


class _GroupedBatch(BatchNatsMetricsSettingsProvider):
    def get_consume_attrs_from_message(self, msg: StreamMessage[list[Msg]]) -> ConsumeAttrs:
        attrs = super().get_consume_attrs_from_message(msg)
        return {**attrs, "destination_name": subject_group(attrs["destination_name"])}

    def get_publish_destination_name_from_cmd(self, cmd: PublishCommand) -> str:
        return subject_group(cmd.destination)


def _provider(msg: Msg | Sequence[Msg] | None) -> Any:
    return _Grouped() if msg is None or isinstance(msg, Msg) else _GroupedBatch()


def metrics_middleware(
    registry: CollectorRegistry, service: str
) -> PrometheusMiddleware[Msg | Sequence[Msg], NatsPublishCommand]:
    """Counts and times what the broker receives and publishes, labelled by group of subjects, never by subject."""
    return PrometheusMiddleware(settings_provider_factory=_provider, registry=registry, app_name=service)


def make_tracer_provider(settings: Settings, service: str, exporter: SpanExporter | None = None) -> TracerProvider:
    """Traces that continue a sender's `traceparent`; recorded only where there is somewhere to send them.

    Without `otlp_endpoint` (and without `exporter`, for tests) nothing is sampled, and a span costs next to nothing.
    """
    resource = Resource.create({"service.name": f"relatieboek-{service}"})
    if exporter is None and settings.otlp_endpoint:
        exporter = _otlp(settings.otlp_endpoint)
    if exporter is None:
        return TracerProvider(resource=resource, sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider = TracerProvider(
        resource=resource, sampler=ParentBased(TraceIdRatioBased(settings.trace_ratio)), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _otlp(endpoint: str) -> SpanExporter:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise SetupError("RELATIEBOEK_OTLP_ENDPOINT is gezet; installeer daarvoor relatieboek[otlp]") from error
    return OTLPSpanExporter(endpoint=endpoint)


def tracing_middleware(provider: TracerProvider) -> NatsTelemetryMiddleware:
    """Spans around receiving and publishing. Its own counters stay off: Prometheus has them, with bounded labels."""
    return NatsTelemetryMiddleware(tracer_provider=provider, include_messages_counters=False)
