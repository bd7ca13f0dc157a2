import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_lists_made_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "judge_other_lists.py"), run_name="__main__")
    shown = dict(line.split() for line in capsys.readouterr().out.splitlines())
    # ann: bread is second, bob: jam is first.
    assert shown["recall@2"] == "1.000" and shown["mrr@2"] == "0.750"


@pytest.mark.slow
def test_the_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs, in a kernel of its own."""
    # The kernel reaches its packages through the environment, as this process does.
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(EXAMPLES / "films.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=None, resources={"metadata": {"path": str(EXAMPLES)}}
    )
    client.execute()
    shown = [cell for cell in notebook.cells if cell.source == "recommender.show(42, k=5)"]
    html = shown[0].outputs[-1]["data"]["text/html"]
    assert "<caption>For 42</caption>" in html and html.count("<tr>") == 6


def test_the_notebook_is_kept_without_outputs() -> None:
    text = (EXAMPLES / "films.ipynb").read_text(encoding="utf-8")
    assert '"outputs": []' in text and "image/png" not in text and "text/html" not in text


@pytest.mark.slow
def test_films(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "recommend_films.py"))["main"](epochs=1)
    assert "because of" in capsys.readouterr().out
