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
def test_films(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "recommend_films.py"))["main"](epochs=1)
    assert "because of" in capsys.readouterr().out
