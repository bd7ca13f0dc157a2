"""A collector of OpenTelemetry on loopback: takes OTLP over HTTP, as one in production would."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """What has arrived. address: for OTEL_EXPORTER_OTLP_ENDPOINT."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        self.metrics: dict[str, Any] = {}

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]

    def parts_of(self, parent: Any) -> list[str]:
        """Names of the spans directly below one, as they began."""
        inner = [span for span in self.spans if span.parent_span_id == parent.span_id]
        return [span.name for span in sorted(inner, key=lambda span: span.start_time_unix_nano)]

    def take_spans(self, body: bytes) -> None:
        for told in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(plain(told.resource.attributes))
            for scope in told.scope_spans:
                self.spans.extend(scope.spans)

    def take_metrics(self, body: bytes) -> None:
        for told in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope in told.scope_metrics:
                self.metrics.update({metric.name: metric for metric in scope.metrics})


def plain(attributes: Any) -> dict[str, Any]:
    """Attributes of OTLP as a dictionary."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector in a thread of this process; it ends with the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    server.collector = collector  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        collector: Collector = self.server.collector  # type: ignore[attr-defined]
        take = {"/v1/traces": collector.take_spans, "/v1/metrics": collector.take_metrics}
        take[self.path](body)
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""
