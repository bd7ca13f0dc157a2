"""The manifest for KubeRay: its pods by the schema of Kubernetes, its own fields by those of the operator."""

import shlex
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

from pipelines.cli import app
from recsys.core.config import build_config

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "deploy/kuberay/rayjob.yaml"


def _strict(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


TEXT, COUNT, FLAG = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
GROUP = {"rayStartParams": TEXTS, "template": {"type": "object"}}
# What is used here of ray.io/v1, RayJobSpec and RayClusterSpec of KubeRay 1.3 to 1.5.
RAY_JOB = _strict(
    ["entrypoint", "rayClusterSpec"],
    entrypoint=TEXT,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
    backoffLimit=COUNT,
    activeDeadlineSeconds=COUNT,
    shutdownAfterJobFinishes=FLAG,
    ttlSecondsAfterFinished=COUNT,
    rayClusterSpec=_strict(
        ["headGroupSpec"],
        rayVersion=TEXT,
        enableInTreeAutoscaling=FLAG,
        headGroupSpec=_strict(["rayStartParams", "template"], **GROUP),
        workerGroupSpecs={
            "type": "array",
            "items": _strict(
                ["groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"],
                groupName=TEXT,
                replicas=COUNT,
                minReplicas=COUNT,
                maxReplicas=COUNT,
                **GROUP,
            ),
        },
    ),
)


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all(MANIFEST.read_text("utf-8"))}


def pods(documents: dict[str, Any]) -> list[Any]:
    cluster = documents["RayJob"]["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_the_job_has_the_fields_of_the_operator(documents: dict[str, Any]) -> None:
    job = documents["RayJob"]
    assert job["apiVersion"] == "ray.io/v1"
    Draft202012Validator(RAY_JOB).validate(job["spec"])


def test_pods_and_plain_resources_have_the_schema_of_kubernetes(documents: dict[str, Any]) -> None:
    version = kubernetes_validate.latest_version()
    for kind in ("PersistentVolumeClaim", "ConfigMap"):
        kubernetes_validate.validate(documents[kind], version, strict=True)
    for spec in pods(documents):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
        kubernetes_validate.validate(pod, version, strict=True)


def test_the_command_and_the_configuration_are_ones_that_there_are(
    documents: dict[str, Any],
) -> None:
    import typer

    program, verb, *words = shlex.split(documents["RayJob"]["spec"]["entrypoint"])
    command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    context = command.make_context(verb, list(words))
    assert program == "recsys" and context.params["runner"] == "ray"
    text = documents["ConfigMap"]["data"][Path(context.params["config"]).name]
    assert build_config(tomllib.loads(text)).data.log == "/runs/log"


def test_the_version_of_ray_is_the_one_of_the_extra(documents: dict[str, Any]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    [wanted] = extras["optional-dependencies"]["cluster"]
    minor = documents["RayJob"]["spec"]["rayClusterSpec"]["rayVersion"].rpartition(".")[0]
    assert f">={minor}," in wanted


def test_all_pods_see_one_volume(documents: dict[str, Any]) -> None:
    assert documents["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]
    for spec in pods(documents):
        [container] = spec["containers"]
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert paths == ["/runs", "/config"]
