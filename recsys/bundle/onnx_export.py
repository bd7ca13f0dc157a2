"""The user encoder of a bundle as ONNX: from what somebody did to the vector that items are met with."""

from pathlib import Path
from typing import Any

from recsys.bundle.bundle import Bundle
from recsys.bundle.storage import save_document
from recsys.core.artefacts import atomic_folder
from recsys.core.errors import MachineError, UsageError

MODEL, CARD = "encoder.onnx", "onnx.json"
_MOST_BYTES = 1 << 30
"""Larger weights lie in a file beside the graph: a protobuf holds 2 GB at most."""


def export_onnx(bundle: Bundle, out: Path) -> dict[str, Any]:
    """Write `out`, whole or absent: encoder.onnx, onnx.json (which is returned), items.json, and
    labels.json with the values of attributes in the order of their numbers.

    Raises MachineError without the package onnx, UsageError for a family that is not written as
    ONNX, and for a folder that holds anything but an earlier export.
    """
    try:
        import onnx

        from recsys.encode.onnx_graph import encoder_graph
    except ImportError as error:
        raise MachineError(
            f"the package onnx is not installed ({error})", 'pip install "recsys[onnx]"'
        ) from None
    if out.exists() and any(out.iterdir()) and not (out / CARD).exists():
        raise UsageError(f"{str(out)!r} holds other files", "Choose an empty or a new folder")
    model = encoder_graph(bundle.encoder, bundle.added)
    card = {
        "bundle": bundle.name,
        "width": model.graph.output[0].type.tensor_type.shape.dim[1].dim_value,
        "inputs": [value.name for value in model.graph.input],
        "relations": _relations(bundle),
        "history": _history(bundle),
        "now": bundle.encoder.now,
    }
    with atomic_folder(out) as folder:
        onnx.save_model(
            model,
            folder / MODEL,
            save_as_external_data=model.ByteSize() > _MOST_BYTES,
            location=f"{MODEL}.data",
        )
        save_document(folder / "items.json", bundle.items.ids.to_list())
        save_document(folder / "labels.json", {kind: list(v) for kind, v in bundle.labels.items()})
        save_document(folder / CARD, card)
    return card


def _relations(bundle: Bundle) -> dict[str, Any]:
    """How the rows of an event weigh as edges, before their place in the history."""
    relations = {}
    for relation in bundle.encoder.relations:
        relations[relation.name] = {
            "source": relation.source,
            "behavior": relation.behavior,
            "weight": relation.weight,
            "half_life_days": relation.half_life_days or bundle.encoder.half_life_days,
            "use_weights": bundle.encoder.use_weights,
        }
    return relations


def _history(bundle: Bundle) -> dict[str, Any] | None:
    """How items weigh in the history of item–item scores; None where no vector needs it."""
    if bundle.added is None or not bundle.added.rank:
        return None
    return {
        "behavior_weights": {bundle.target: 1.0, **bundle.added.auxiliary_weights},
        "half_life_events": bundle.added.half_life_events,
    }
