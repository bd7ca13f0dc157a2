"""Traces and metrics by OTLP, received by a collector on loopback."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors import Collector, collecting, plain
from recsys.core.errors import ConfigError
from servers import ask, running
from serving.keys import new_key
from serving.metrics import Metrics
from serving.otel import followed, require_otel
from serving.settings import Settings
from serving.spans import Spans

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
PARENT = {"traceparent": f"00-{TRACE}-{CALLER}-01"}


@pytest.fixture(scope="module")
def collector(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """What a service told that answered the questions of this file, and ended."""
    folder = tmp_path_factory.mktemp("otel")
    token, lines = new_key("shop", ("read", "events", "admin"))
    (folder / "keys.toml").write_text(lines)
    settings = Settings(
        bundle_path, keys=folder / "keys.toml", events=folder / "events.jsonl", otel=True
    )
    with collecting() as collector, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
        patch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
        with running(settings) as address:
            key = {"Authorization": f"Bearer {token}"}
            ask(f"{address}/v1/recommend/u01?k=3", headers=key | PARENT)
            ask(f"{address}/v1/similar/i01", headers=key)
            ask(f"{address}/v1/recommend/u02")  # without a key
            event = {"events": [{"user": "u01", "item": "i01"}]}
            ask(f"{address}/v1/events", event, headers=key)
            many = {"requests": [{"user": "u01"}] * 200, "k": 20, "explain": True}
            ask(f"{address}/v1/recommend", many, headers=key)
            ask(f"{address}/v1/admin/reload", b"", headers=key)
            with pytest.MonkeyPatch.context() as broken:
                broken.setattr("serving.catalogue.similar_items", _fail)
                ask(f"{address}/v1/similar/i02", headers=key)
        yield collector


def _fail(*asked: object) -> None:
    raise RuntimeError("as an example")


def test_a_request_continues_the_trace_of_its_caller(collector: Collector) -> None:
    [span] = [one for one in collector.spans if one.parent_span_id.hex() == CALLER]
    assert span.trace_id.hex() == TRACE
    assert span.name == "GET /v1/recommend/{user:path}"
    assert span.kind == span.SPAN_KIND_SERVER
    attributes = plain(span.attributes)
    assert attributes["http.response.status_code"] == 200
    assert attributes["http.route"] == "/v1/recommend/{user:path}"
    assert collector.parts_of(span) == ["batch.wait", "batch.answer"]


def test_its_parts_follow_each_other_within_it(collector: Collector) -> None:
    [span] = [one for one in collector.spans if one.parent_span_id.hex() == CALLER]
    [wait, answer] = [
        part
        for name in ("batch.wait", "batch.answer")
        for part in collector.named(name)
        if part.parent_span_id == span.span_id
    ]
    moments = [
        span.start_time_unix_nano,
        wait.start_time_unix_nano,
        wait.end_time_unix_nano,
        answer.start_time_unix_nano,
        answer.end_time_unix_nano,
        span.end_time_unix_nano,
    ]
    assert moments == sorted(moments)
    assert plain(answer.attributes) == {"requests": 1}


def test_other_questions_and_writes_have_parts_too(collector: Collector) -> None:
    first, failed = collector.named("GET /v1/similar/{item:path}")
    assert collector.parts_of(first) == ["answer"]
    assert failed.status.code == failed.status.STATUS_CODE_ERROR
    assert plain(failed.attributes)["error.type"] == "500"
    [written] = collector.named("POST /v1/events")
    assert collector.parts_of(written) == ["batch.wait", "batch.answer"]
    [dear] = collector.named("POST /v1/recommend")
    assert collector.parts_of(dear) == ["answer.dear"]


def test_a_refused_request_is_told_and_no_error_of_the_service(collector: Collector) -> None:
    [refused] = [
        one
        for one in collector.spans
        if plain(one.attributes).get("http.response.status_code") == 401
    ]
    assert (refused.name, refused.status.code) == ("GET", refused.status.STATUS_CODE_UNSET)


def test_a_reload_is_a_trace_of_its_own(collector: Collector, bundle_path: Path) -> None:
    [reload] = collector.named("bundle.reload")
    assert reload.parent_span_id == b""
    assert plain(reload.attributes) == {"model_version": bundle_path.name, "outcome": "loaded"}


def test_no_id_of_a_person_or_item_leaves_the_service(collector: Collector) -> None:
    told = "".join(str(span) for span in collector.spans)
    assert "u01" not in told and "i01" not in told


def test_the_resource_names_the_service_and_what_its_operator_says(collector: Collector) -> None:
    resource = collector.resources[0]
    assert resource["service.name"] == "recsys"
    assert resource["deployment.environment"] == "test"
    assert resource["service.instance.id"] and resource["service.version"]


def test_metrics_are_those_of_http_and_those_of_prometheus(collector: Collector) -> None:
    duration = collector.metrics["http.server.request.duration"]
    by_status: dict[int, int] = {}
    for point in duration.histogram.data_points:
        status = plain(point.attributes)["http.response.status_code"]
        by_status[status] = by_status.get(status, 0) + point.count
    assert (by_status[401], by_status[500]) == (1, 1)
    answers = {
        plain(point.attributes)["source"]: point.as_double
        for point in collector.metrics["recsys_answers"].sum.data_points
    }
    assert answers["model"] + answers.get("fold_in", 0) == 201
    assert collector.metrics["recsys_answers"].sum.is_monotonic
    [memory] = collector.metrics["process_resident_memory_bytes"].gauge.data_points
    assert memory.as_double > 1 << 20


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp"),
        ("OTEL_METRICS_EXPORTER", "console", "none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "4318"),
    ],
)
def test_a_variable_that_cannot_be_followed_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, remedy: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"{name}='{value}'.*{remedy}"):
        require_otel()


def test_a_variable_switches_it_off_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert type(followed(Metrics())) is Spans


WITHOUT = """
import sys
for name in ("opentelemetry.sdk", "opentelemetry.exporter"):
    sys.modules[name] = None  # as where the extra is not installed
from pipelines.cli import main
sys.argv = ["recsys", *sys.argv[1:]]
main()
"""


def test_without_the_extra_it_is_named(bundle_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT, "serve", str(bundle_path), "--otel", "--port", "1"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert 'pip install "recsys[otel]"' in found.stderr and "Traceback" not in found.stderr


NAMES = """
import json, sys
from pathlib import Path
from serving.app import make_app
from serving.settings import Settings
make_app(Settings(Path(sys.argv[1])))
print(json.dumps([name for name in sys.modules if name.startswith("opentelemetry.sdk")]))
"""


def test_nothing_of_it_is_loaded_where_nobody_asked(bundle_path: Path) -> None:
    command = [sys.executable, "-c", NAMES, str(bundle_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == []
