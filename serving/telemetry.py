"""Traces and metrics for OpenTelemetry: the one module that needs the extra `otel`.

Spans are made here, by the stable conventions for HTTP, and not by the instrumentation packages for
ASGI and FastAPI: those name a span by its path, in which ids of users stand, or begin behind the guard
and the shortcut, and would miss what is refused and what is asked most. For the same reason no span
tells a path. Providers are handed on, not registered globally, so that the framework adds no spans
of its own.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import Token
from typing import Literal

from opentelemetry import propagate
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Histogram, NoOpMeterProvider, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NoOpTracerProvider,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    format_trace_id,
    set_span_in_context,
)
from prometheus_client import Metric
from prometheus_client.process_collector import ProcessCollector
from starlette.datastructures import Headers
from starlette.types import Scope

from recsys.core.errors import ConfigError
from recsys.core.machine import versions
from serving.metrics import Metrics
from serving.spans import Part, RequestSpan, Spans

Signal = Literal["TRACES", "METRICS"]

_SIGNALS: tuple[Signal, ...] = ("TRACES", "METRICS")
_NAME = "recsys"
_METHODS = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"))
_FIRST_SERVER_ERROR = 500
_CLOSE_SECONDS = 3.0
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


def telemetry(metrics: Metrics) -> Spans:
    """Spans that are sent by OTLP (HTTP), and the figures of this process every minute, as the
    variables OTEL_* say.

    Raises ConfigError for a variable that asks for another exporter or protocol.
    """
    signals = wanted_signals()
    if not signals:
        return Spans()
    resource = _resource()
    tracers = None
    if "TRACES" in signals:
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    meters = None
    if "METRICS" in signals:
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        _tell_figures(meters, metrics)
    return _Telemetry(tracers, meters)


def _resource() -> Resource:
    """What the variables say of the service, and what they leave open."""
    told = Resource.create().attributes
    name = str(told.get("service.name", ""))
    described = {
        "service.name": _NAME if name.startswith("unknown_service") else name,
        "service.version": told.get("service.version", versions(())["recsys"]),
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
    }
    return Resource.create(described)


def wanted_signals() -> list[Signal]:
    """What the variables ask for. Raises ConfigError naming one with a value that there is no exporter for."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    return [signal for signal in _SIGNALS if _is_wanted(signal)]


def _is_wanted(signal: Signal) -> bool:
    exporter = f"OTEL_{signal}_EXPORTER"
    name = os.environ.get(exporter, "otlp").strip().lower()
    if name == "none":
        return False
    if name != "otlp":
        raise ConfigError(f"{exporter}={name!r}", "Send it by otlp, or not at all: none")
    for variable in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = os.environ.get(variable, "").strip().lower()
        if protocol not in ("", "http/protobuf"):
            raise ConfigError(
                f"{variable}={protocol!r}",
                "Use http/protobuf: every collector takes it at port 4318",
            )
        if protocol:
            break  # that of the signal goes before the general one
    return True


class _Telemetry(Spans):
    def __init__(self, tracers: TracerProvider | None, meters: MeterProvider | None) -> None:
        self._providers = [provider for provider in (tracers, meters) if provider is not None]
        version = versions(())["recsys"]
        self._tracer = (tracers or NoOpTracerProvider()).get_tracer(_NAME, version)
        meter = (meters or NoOpMeterProvider()).get_meter(_NAME, version)
        self._seconds = meter.create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )

    def request(self, scope: Scope, headers: Headers) -> RequestSpan:
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        attributes = {
            "http.request.method": method,
            "url.scheme": scope.get("scheme", "http"),
            "network.protocol.version": scope.get("http_version", "1.1"),
        }
        parent = propagate.extract(headers)
        span = self._tracer.start_span(method, parent, SpanKind.SERVER, attributes)
        return _Request(span, parent, attributes, self._seconds)

    def part(self, name: str) -> Part:
        return _Part(self._tracer, name, get_current())

    def close(self) -> None:
        """Send what is left; whoever does not take it in time does not get it."""
        closing = threading.Thread(target=self._shut_down, daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)

    def _shut_down(self) -> None:
        for provider in self._providers:
            provider.shutdown()


class _Request(RequestSpan):
    """The span is the current one until it ends."""

    def __init__(
        self, span: Span, parent: Context, attributes: Mapping[str, str], seconds: Histogram
    ) -> None:
        self._span = span
        self._attributes: dict[str, str | int] = {**attributes}
        self._seconds = seconds
        self._token: Token[Context] = attach(set_span_in_context(span, parent))
        context = span.get_span_context()
        self.trace_id = format_trace_id(context.trace_id) if context.is_valid else ""

    def end(self, route: str, status: int, seconds: float) -> None:
        attributes = self._attributes
        attributes["http.response.status_code"] = status
        if route != "none":
            attributes["http.route"] = route
            self._span.update_name(f"{attributes['http.request.method']} {route}")
        if status >= _FIRST_SERVER_ERROR:
            attributes["error.type"] = str(status)
            self._span.set_status(StatusCode.ERROR)
        self._span.set_attributes(attributes)
        self._seconds.record(seconds, attributes)
        self._span.end()
        detach(self._token)


class _Part(Part):
    def __init__(self, tracer: Tracer, name: str, parent: Context) -> None:
        self._tracer = tracer
        self._parent = parent
        self._span = tracer.start_span(name, parent)

    def then(self, name: str) -> Part:
        self._span.end()
        return _Part(self._tracer, name, self._parent)

    def end(self, **attributes: str | int | float) -> None:
        self._span.set_attributes(attributes)
        self._span.end()


def _tell_figures(meters: MeterProvider, metrics: Metrics) -> None:
    """Counters and gauges of this process, which Prometheus is told, too, under the same names."""
    meter = meters.get_meter(_NAME)
    process = ProcessCollector(registry=None)

    def collected() -> Iterator[Metric]:
        yield from metrics.registry.collect()
        yield from process.collect()

    for family in collected():
        told = (_telling(collected, family.name),)
        if family.type == "counter":
            meter.create_observable_counter(family.name, told, description=family.documentation)
        elif family.type == "gauge":
            meter.create_observable_gauge(family.name, told, description=family.documentation)


def _telling(
    collected: Callable[[], Iterator[Metric]], name: str
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observations(options: CallbackOptions) -> Iterator[Observation]:
        for family in collected():
            if family.name == name:
                for sample in family.samples:
                    yield Observation(sample.value, sample.labels)

    return observations
