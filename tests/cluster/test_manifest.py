"""The manifests for KubeRay: pods by the schema of Kubernetes, its own fields by those of the operator."""

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
MANIFESTS = ("rayjob", "rayservice")


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
# What is used here of ray.io/v1, specifications of KubeRay 1.3 to 1.5.
RAY_CLUSTER = _strict(
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
)
RAY_SERVICE = _strict(
    ["serveConfigV2", "rayClusterConfig"], serveConfigV2=TEXT, rayClusterConfig=RAY_CLUSTER
)
RAY_JOB = _strict(
    ["entrypoint", "rayClusterSpec"],
    entrypoint=TEXT,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
    backoffLimit=COUNT,
    activeDeadlineSeconds=COUNT,
    shutdownAfterJobFinishes=FLAG,
    ttlSecondsAfterFinished=COUNT,
    rayClusterSpec=RAY_CLUSTER,
)


def _read(name: str) -> dict[str, Any]:
    text = (ROOT / f"deploy/kuberay/{name}.yaml").read_text("utf-8")
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    """Of a run."""
    return _read("rayjob")


@pytest.fixture(scope="module")
def service() -> Any:
    """How the service is served."""
    return _read("rayservice")["RayService"]["spec"]


def cluster_of(name: str) -> Any:
    documents = _read(name)
    if name == "rayjob":
        return documents["RayJob"]["spec"]["rayClusterSpec"]
    return documents["RayService"]["spec"]["rayClusterConfig"]


def pods(name: str) -> list[Any]:
    cluster = cluster_of(name)
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_the_job_has_the_fields_of_the_operator(documents: dict[str, Any]) -> None:
    job = documents["RayJob"]
    assert job["apiVersion"] == "ray.io/v1"
    Draft202012Validator(RAY_JOB).validate(job["spec"])


def test_the_service_has_the_fields_of_the_operator(service: Any) -> None:
    Draft202012Validator(RAY_SERVICE).validate(service)


def test_plain_resources_have_the_schema_of_kubernetes(documents: dict[str, Any]) -> None:
    version = kubernetes_validate.latest_version()
    for kind in ("PersistentVolumeClaim", "ConfigMap"):
        kubernetes_validate.validate(documents[kind], version, strict=True)


@pytest.mark.parametrize("name", MANIFESTS)
def test_pods_have_the_schema_of_kubernetes(name: str) -> None:
    version = kubernetes_validate.latest_version()
    for spec in pods(name):
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


@pytest.mark.cluster
def test_the_application_is_one_that_there_is(service: Any) -> None:
    """Ray reads the configuration; the replicas fit the workers, and are the run of the job."""
    schema = pytest.importorskip("ray.serve.schema", reason="needs recsys[cluster]")
    from pipelines.ray_serve import Replicated

    config = schema.ServeDeploySchema.model_validate(yaml.safe_load(service["serveConfigV2"]))
    [application] = config.applications
    assert application.import_path == "pipelines.ray_serve:app"
    replicated = Replicated.model_validate(application.args)
    assert replicated.run == "/runs/shop" and replicated.keys.parent == Path("/keys")
    [workers] = service["rayClusterConfig"]["workerGroupSpecs"]
    [container] = workers["template"]["spec"]["containers"]
    cores = workers["replicas"] * int(container["resources"]["requests"]["cpu"])
    assert replicated.replicas * replicated.cpus <= cores


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_version_of_ray_is_the_one_of_the_extra(name: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    [wanted] = extras["optional-dependencies"]["cluster"]
    minor = cluster_of(name)["rayVersion"].rpartition(".")[0]
    assert f">={minor}," in wanted


@pytest.mark.parametrize(("name", "beside"), [("rayjob", "/config"), ("rayservice", "/keys")])
def test_all_pods_see_one_volume(documents: dict[str, Any], name: str, beside: str) -> None:
    claim = documents["PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for spec in pods(name):
        [container] = spec["containers"]
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert paths == ["/runs", beside]
        claimed = spec["volumes"][0]["persistentVolumeClaim"]["claimName"]
        assert claimed == claim["metadata"]["name"]
