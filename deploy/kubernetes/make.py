"""Write the plain manifests beside this file from the Helm chart: `python deploy/kubernetes/make.py`."""

from pathlib import Path
from typing import Any

from helm_python.chart import Chart

HERE = Path(__file__).parent
CHART = HERE.parent / "helm/recsys"
HEAD = """# Made from the chart in deploy/helm/recsys (python deploy/kubernetes/make.py).
"""
WITH_OPERATOR = "monitoring/monitor.yaml"


def rendered(values: dict[str, Any] | None = None) -> dict[str, str]:
    """The chart's manifests by template, as `helm template recsys` renders them."""
    with Chart.load(CHART) as chart:
        found = chart.render(values, name="recsys", namespace="default")
    manifests = {}
    for path, text in sorted(found.items()):
        if path.endswith(".yaml") and text.strip():
            manifests[Path(path).stem] = text.strip() + "\n"
    return manifests


def documents() -> dict[str, str]:
    """The files here, by name: what every cluster takes, and what needs the operator of Prometheus."""
    plain = rendered()
    monitor = rendered({"serviceMonitor": {"enabled": True}})["monitor"]
    without_helm = [
        text.replace("managed-by: Helm", "managed-by: kubectl") for text in plain.values()
    ]
    return {"recsys.yaml": HEAD + "---\n".join(without_helm), WITH_OPERATOR: HEAD + monitor}


def main() -> None:
    for name, text in documents().items():
        file = HERE / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
