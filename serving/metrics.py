"""What a service tells Prometheus."""

import collections
import os
import time
from collections.abc import Callable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from recsys.core.errors import RecsysError
from serving.documents import Answer
from serving.processes import SHARED, Processes, Workers
from serving.state import Served

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_REMEMBERED = 1000  # answers over which the mean of first scores is taken, about


class Metrics:
    """Counters of one application. Names end as Prometheus asks: _total, _seconds,
    _timestamp_seconds.

    registry: what this process counts, to be added to what other workers count.
    of_service: what any worker can tell of the whole service at the moment it is asked.
    under_way: requests that are being answered.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for every counter, which nobody reads
        self.registry = CollectorRegistry()
        self.of_service = CollectorRegistry()
        self.of_service.register(Processes())
        self.under_way = 0
        self._tell: list[Callable[[], None]] = []
        self._register_request_metrics()
        self._register_answer_metrics()
        self._register_event_metrics()
        self._register_refusal_metrics()
        self._register_bundle_metrics()
        self._served: Served | None = None
        self._mean = 0.0

    def _register_request_metrics(self) -> None:
        self.seconds = Histogram(
            "recsys_request_seconds",
            "Time to answer.",
            ("route", "method", "status"),
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.batch = Histogram(
            "recsys_batch_requests",
            "Answered together.",
            registry=self.registry,
            buckets=(1, 2, 4, 8, 16, 32, 64),
        )

    def _register_answer_metrics(self) -> None:
        self.answers = self._counter(
            "recsys_answers_total", "Lists by where they came from.", "source"
        )
        self.asked = self._counter("recsys_asked_total", "Users, visitors and items asked about.")
        self.unknown = self._counter(
            "recsys_unknown_ids_total", "Ids that the bundle does not know."
        )

    def _register_event_metrics(self) -> None:
        self.events = self._counter("recsys_events_total", "Events acknowledged.")
        self.impressions = self._counter("recsys_impressions_total", "Impressions acknowledged.")

    def _register_refusal_metrics(self) -> None:
        self.reloads = self._counter(
            "recsys_reloads_total", "Bundles loaded or refused.", "outcome"
        )
        self.refused_keys = self._counter(
            "recsys_refused_keys_total", "Requests without a key that may ask.", "reason"
        )

    def _register_bundle_metrics(self) -> None:
        self.drift = self._gauge(
            "recsys_score_drift",
            "Mean first score of known users: deviations from that of the bundle.",
        )
        self.written = self._gauge(
            "recsys_bundle_written_timestamp_seconds", "When the bundle was written."
        )
        self.age = self._gauge("recsys_bundle_age_seconds", "Since the bundle was written.")
        self.info = self._gauge(
            "recsys_bundle_info", "1 for the bundle that answers.", "model_version"
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """Of several workers the latest value counts."""
        return Gauge(name, text, labels, registry=self.registry, multiprocess_mode="mostrecent")

    def loaded(self, served: Served) -> None:
        """Another bundle answers now."""
        if self._served is not None:
            self.info.labels(self._served.version).set(0)
        self.reloads.labels("loaded").inc()
        self.info.labels(served.version).set(1)
        self.written.set(served.written)
        self._served = served
        self._mean = served.expected.mean
        self.drift.set(0)

    def refused(self, error: RecsysError) -> None:
        """A bundle did not pass; the one before goes on answering."""
        self.reloads.labels("refused").inc()

    def observe(self, served: Served, answers: Sequence[Answer]) -> None:
        """Count lists that were given."""
        self.asked.inc(len(answers))
        counts = collections.Counter(answer["source"] for answer in answers)
        for source, count in counts.items():
            self.answers.labels(source).inc(count)
        self.unknown.inc(sum(len(answer["unknown"]) for answer in answers))
        if served is not self._served:  # of an arm, or just swapped: its scores are others
            return
        for answer in answers:
            items = answer["items"]
            if answer["source"] == "model" and items and items[0]["rank"] == 1:
                # an exponential mean of first scores
                self._mean += (items[0]["score"] - self._mean) / _REMEMBERED
        if served.expected.deviation:
            self.drift.set((self._mean - served.expected.mean) / served.expected.deviation)

    def watch(self, tell: Callable[[], None]) -> None:
        """tell: sets gauges to how things stand; called before figures are read, and now and then."""
        self._tell.append(tell)

    def tell(self) -> None:
        """Set the gauges of this process, which another worker may be asked for."""
        for tell in self._tell:
            tell()

    def text(self) -> bytes:
        """The exposition: of all workers where they share a folder, else of this process."""
        self.tell()
        if self._served is not None:
            self.age.set(time.time() - self._served.written)
        of_service = generate_latest(self.of_service)  # takes off what dead workers told
        if SHARED not in os.environ:
            return generate_latest(self.registry) + of_service
        together = CollectorRegistry()
        Workers(together)
        return generate_latest(together) + of_service
