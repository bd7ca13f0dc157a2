"""A bundle as an MLflow model: `mlflow models serve`, `mlflow.pyfunc.load_model`, batch scoring.

Nothing is pickled: MLflow keeps the folder of the bundle and the name of this module.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array

from recsys import __version__
from recsys.bundle.bundle import Bundle
from recsys.core.errors import UsageError
from recsys.lookup.lookup import Lookup

USER, HISTORY = "user", "history"
_K = 10


class Lists:
    """What MLflow calls `predict` of."""

    def __init__(self, bundle: Bundle) -> None:
        self.lookup = Lookup(bundle)

    def predict(
        self, model_input: Any, params: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The lists of the users in the rows of a pandas frame.

        model_input: columns `user` (ids), `history` (lists of item ids of visitors), or both.
        params: k, and exclude_seen. Somebody unknown gets popular items. Raises UsageError for other
        columns.
        """
        settings = {"k": _K, "exclude_seen": True, **(params or {})}
        columns = {name: model_input[name].tolist() for name in model_input.columns}
        if not columns or not set(columns) <= {USER, HISTORY}:
            raise UsageError(f"columns {sorted(columns)}", f"Give {USER!r}, {HISTORY!r}, or both")
        count = len(model_input)
        users = [_user(value) for value in columns.get(USER, [None] * count)]
        histories = [_history(value) for value in columns.get(HISTORY, [None] * count)]
        answers = self.lookup.recommend(
            users,
            int(settings["k"]),
            histories=histories,
            exclude_seen=bool(settings["exclude_seen"]),
            fallback="popularity",
        )
        bundle = self.lookup.bundle.name
        rows = zip(users, answers, strict=True)
        return [{"user": user, **answer, "bundle": bundle} for user, answer in rows]


def log_bundle(bundle: Path, name: str = "bundle") -> Any:
    """Log a bundle as a model of the active MLflow run; returns MLflow's ModelInfo."""
    return mlflow.pyfunc.log_model(
        name=name,
        loader_module=__name__,
        data_path=str(bundle.resolve()),
        signature=_signature(),
        pip_requirements=[f"recsys[mlflow]=={__version__}"],
        metadata={"recsys.bundle": bundle.resolve().name},
    )


def _load_pyfunc(data_path: str) -> Lists:
    """MLflow's entry: the model of a folder that `log_bundle` kept. Raises DataError where it was
    changed.
    """
    return Lists(Bundle.load(Path(data_path)))


def _signature() -> ModelSignature:
    columns = [
        ColSpec(DataType.string, USER, required=False),
        ColSpec(Array(DataType.string), HISTORY, required=False),
    ]
    params = [
        ParamSpec("k", DataType.integer, _K),
        ParamSpec("exclude_seen", DataType.boolean, True),
    ]
    return ModelSignature(inputs=Schema(columns), params=ParamSchema(params))


def _user(value: Any) -> str | None:
    """pandas has NaN for what is not given."""
    return value if isinstance(value, str) else None


def _history(value: Any) -> list[str]:
    is_given = value is not None and not isinstance(value, float)
    return [str(item) for item in value] if is_given else []
