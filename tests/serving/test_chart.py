"""The Helm chart, rendered by Helm itself, and the plain manifests that are made of it."""

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import kubernetes_validate
import pytest
import yaml

from servers import ask
from serving.settings import Settings

pytest.importorskip("helm_python", reason="helm-python-sdk has no wheel for this machine")
from helm_python.chart import Chart, lint
from helm_python.errors import HelmError

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/recsys"
KUBERNETES = ROOT / "deploy/kubernetes"
DIGEST = "sha256:" + "0" * 64
EVERYTHING: dict[str, Any] = {
    "image": {"repository": "registry.example/recsys", "digest": DIGEST},
    "replicas": 3,
    "extraArgs": ["--cors", "https://shop.example"],
    "runs": {"claim": "mine", "path": "shop"},
    "podAnnotations": {"team": "search"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "otel": {"endpoint": "http://collector.monitoring.svc:4318"},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
}


def rendered(values: dict[str, Any] | None = None, name: str = "recsys") -> dict[str, Any]:
    """Manifests by kind."""
    with Chart.load(CHART) as chart:
        texts = chart.render(values, name=name, namespace="shop")
    documents = [yaml.safe_load(text) for path, text in texts.items() if path.endswith(".yaml")]
    return {one["kind"]: one for one in documents if one is not None}


def making() -> ModuleType:
    """The script that writes the plain manifests."""
    spec = importlib.util.spec_from_file_location("make_manifests", KUBERNETES / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written() -> list[Any]:
    """Every document of the plain manifests."""
    files = sorted(KUBERNETES.rglob("*.yaml"))
    return [one for file in files for one in yaml.safe_load_all(file.read_text("utf-8"))]


def container(manifests: dict[str, Any]) -> Any:
    [only] = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    return only


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["as it is", "everything"])
def test_helm_finds_no_fault_with_the_chart(values: dict[str, Any]) -> None:
    report = lint(CHART, values, strict=True)
    faults = [one for one in report["messages"] if one["severity"] >= 2]
    assert (faults, report["errors"]) == ([], [])


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["as it is", "everything"])
def test_what_it_renders_has_the_schema_of_kubernetes(values: dict[str, Any]) -> None:
    manifests = rendered(values)
    monitor = manifests.pop("ServiceMonitor", None)
    assert (monitor is not None) == bool(values)
    kinds = {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"}
    assert set(manifests) == kinds | ({"PersistentVolumeClaim"} if not values else set())
    for manifest in manifests.values():
        for version in ("1.27", kubernetes_validate.latest_version()):  # the oldest of Chart.yaml
            kubernetes_validate.validate(manifest, version, strict=True)


def test_the_monitor_has_the_schema_of_the_operator() -> None:
    models = pytest.importorskip(
        "cloudcoil.models.prometheus_operator.v1", reason="no models of the operator's resources"
    )
    manifest = rendered(EVERYTHING)["ServiceMonitor"]
    parsed = models.ServiceMonitor.model_validate(manifest)
    [endpoint] = parsed.spec.endpoints
    assert (endpoint.path, endpoint.authorization.credentials.name) == (
        "/metrics",
        "recsys-metrics",
    )
    assert manifest["metadata"]["labels"]["release"] == "prometheus"
    service = rendered(EVERYTHING)["Service"]
    assert (
        manifest["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    )
    assert endpoint.port in [port["name"] for port in service["spec"]["ports"]]


def test_values_reach_the_manifests() -> None:
    manifests = rendered(EVERYTHING)
    told = container(manifests)
    assert told["image"] == f"registry.example/recsys@{DIGEST}"
    assert told["args"][1] == "/runs/shop" and told["args"][-2:] == EVERYTHING["extraArgs"]
    assert "--otel" in told["args"]
    assert told["env"][0]["value"] == "http://collector.monitoring.svc:4318"
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "mine"
    assert manifests["NetworkPolicy"]["spec"]["egress"]  # to the collector


def test_releases_beside_each_other_do_not_meet() -> None:
    first, second = rendered(name="films"), rendered(name="books")
    for kind in first:
        assert first[kind]["metadata"]["name"] != second[kind]["metadata"]["name"]
    selectors = [one["Service"]["spec"]["selector"] for one in (first, second)]
    assert selectors[0] != selectors[1]


@pytest.mark.parametrize(
    "values",
    [
        {"replica": 3},
        {"replicas": 0},
        {"image": {"repository": "recsys", "digest": "sha256:short"}},
        {"otel": {"endpoint": "collector:4318"}},
        {"keys": {"secret": ""}},
    ],
    ids=str,
)
def test_values_that_mean_nothing_are_refused(values: dict[str, Any]) -> None:
    with Chart.load(CHART) as chart, pytest.raises(HelmError):
        chart.validate_schema(values)


def test_the_pod_is_restricted_spread_and_stopped_in_time() -> None:
    """The restricted profile of the pod security standards, as far as it can be read off."""
    manifests = rendered()
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    only = container(manifests)
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(only["resources"]["requests"]) >= {"cpu", "memory"}
    assert "memory" in only["resources"]["limits"]
    keys = {one["topologyKey"] for one in pod["topologySpreadConstraints"]}
    assert keys == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    [drain] = [float(one.partition("=")[2]) for one in only["args"] if one.startswith("--drain")]
    before = float(only["lifecycle"]["preStop"]["exec"]["command"][1])
    needed = before + drain + Settings(Path()).stop_seconds
    assert pod["terminationGracePeriodSeconds"] > needed


def test_nothing_gets_out_and_what_gets_in_is_named() -> None:
    policy = rendered()["NetworkPolicy"]["spec"]
    assert (policy["policyTypes"], policy["egress"]) == (["Ingress", "Egress"], [])
    [rule] = policy["ingress"]
    assert rule["ports"] == [{"port": "http", "protocol": "TCP"}]
    assert [next(iter(one)) for one in rule["from"]] == [
        "podSelector",
        "namespaceSelector",
        "namespaceSelector",
    ]


def test_the_chart_is_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["appVersion"] == project["version"]


def test_the_plain_manifests_are_those_of_the_chart() -> None:
    for name, text in making().documents().items():
        assert (KUBERNETES / name).read_text("utf-8") == text, (
            "run: python deploy/kubernetes/make.py"
        )


@pytest.mark.parametrize("manifest", written(), ids=lambda one: one["kind"])
def test_plain_manifests_have_the_schema(manifest: Any) -> None:
    if manifest["kind"] != "ServiceMonitor":  # see above
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_the_probes_ask_what_the_service_answers(address: str) -> None:
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    paths = [container(rendered())[probe]["httpGet"]["path"] for probe in probes]
    assert [ask(address + path)[0] for path in paths] == [200] * 3
