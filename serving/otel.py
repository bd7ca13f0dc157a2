"""Whether OpenTelemetry is there, for a service that is told to use it; nothing of it is imported before."""

from recsys.core.errors import ConfigError
from serving.metrics import Metrics
from serving.spans import Spans


def require_otel() -> None:
    """Raises ConfigError where OpenTelemetry is not installed, or its variables ask for what there
    is not.
    """
    try:
        from serving.telemetry import wanted_signals
    except ImportError as error:
        raise ConfigError(
            f"--otel: OpenTelemetry is not installed ({error})", 'pip install "recsys[otel]"'
        ) from None
    wanted_signals()


def followed(metrics: Metrics) -> Spans:
    """Spans for OpenTelemetry, and its metrics. Raises as `require_otel` does."""
    require_otel()
    from serving.telemetry import telemetry

    return telemetry(metrics)
