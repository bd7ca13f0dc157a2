"""The OpenAPI document against the service: whatever it allows is answered as it says, and nothing
brings a 5xx.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable

from patience import PATIENCE_SECONDS
from servers import ask, running
from serving.settings import Settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi.checks import (
        negative_data_rejection,
        positive_data_acceptance,
    )


@pytest.fixture(scope="module")
def address(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serving.state._SHARE_OF_A_RELOAD", 1.0)  # many are asked for, without rest
        with running(Settings(bundle_path, folder, events=folder / "events.jsonl")) as address:
            yield address


def keep_their_word(address: str, examples: int) -> None:
    """Every operation, with what the document allows and with what it does not."""
    document = schemathesis.openapi.from_url(f"{address}/openapi.json")
    for found in document.get_all_operations():
        operation = found.ok()
        positive, negative = (
            operation.as_strategy(generation_mode=mode) for mode in GenerationMode
        )
        for made in (positive, negative, positive.map(with_known_names)):

            @seed(0)
            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=made)
            def keeps_its_word(case: schemathesis.Case) -> None:
                # A behaviour or a column that the log does not have is well-formed, and refused with
                # 400. Of several events the wrong ones fail alone.
                excluded = [positive_data_acceptance]
                if case.path in ("/v1/events", "/v1/impressions"):
                    excluded.append(negative_data_rejection)
                case.call_and_validate(excluded_checks=excluded, timeout=PATIENCE_SECONDS)

            try:
                keeps_its_word()
            except (
                Unsatisfiable
            ):  # there is nothing wrong to be sent to an operation without parameters
                assert not operation.body and not operation.query and not operation.path_parameters


KNOWN = {
    "user": "u01",
    "item": "i01",
    "behavior": "view",
    "filters": {},
    "filter": [],
    "items": ["i01", "x"],
}


def with_known_names(case: schemathesis.Case) -> schemathesis.Case:
    """The same request about what the bundle knows, so that it is answered."""
    for part in (case.path_parameters, case.query, case.body):
        put_known_names(part)
    if isinstance(case.query, dict):
        case.query.pop("category", None)
    return case


def put_known_names(part: object) -> None:
    for inner in (
        part if isinstance(part, list) else part.values() if isinstance(part, dict) else ()
    ):
        put_known_names(inner)
    if isinstance(part, dict):
        part |= {name: value for name, value in KNOWN.items() if name in part}


def test_every_operation_keeps_its_word(address: str) -> None:
    keep_their_word(address, examples=15)


@pytest.mark.slow
def test_every_operation_keeps_its_word_at_length(address: str) -> None:
    keep_their_word(address, examples=100)


def test_every_answer_of_the_document_is_named(address: str) -> None:
    _, document = ask(f"{address}/openapi.json")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            named = set(operation["responses"])
            may_take_long = method == "post" and path.startswith("/v1/admin/")
            accepted = {"202"} & named if may_take_long else set()
            assert named == {"200", "default"} | accepted, (method, path)
            assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_every_path_with_an_id_has_a_post_twin(address: str) -> None:
    paths = ask(f"{address}/openapi.json")[1]["paths"]
    for path in (path for path in paths if "{" in path and "/jobs/" not in path):
        assert "post" in paths[path.partition("/{")[0]], path
