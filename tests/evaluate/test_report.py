"""The report: its figures, its verdict, its sentences, and a page that stands alone."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from recsys.core.errors import DataError, UsageError
from recsys.evaluate.document import Epoch, Report, RunFacts, SliceRow, ThroughIndex
from recsys.evaluate.lists import Catalogue
from recsys.evaluate.page import render
from recsys.evaluate.report import Judged, Test, build_report, write_report
from recsys.evaluate.slices import Slice
from recsys.evaluate.verdict import _apart

USERS, ITEMS = 240, 30


def lists(hit_share: float, seed: int, k: int = 5) -> np.ndarray:
    """Lists that put the user's one held-out item (user modulo ITEMS) first for `hit_share` of the
    users.
    """
    draw = np.random.default_rng(seed)
    rows = np.stack(
        [draw.permutation(np.delete(np.arange(ITEMS), user % ITEMS))[:k] for user in range(USERS)]
    )
    hits = draw.random(USERS) < hit_share
    rows[hits, 0] = np.arange(USERS)[hits] % ITEMS
    return rows.astype(np.int32)


def held_out_set() -> Test:
    owners = np.arange(USERS)
    held = sparse.csr_matrix(
        (np.ones(USERS, np.float32), (owners, owners % ITEMS)), shape=(USERS, ITEMS)
    )
    early = sparse.diags((owners < 120).astype(np.float32)).tocsr() @ held
    early.eliminate_zeros()
    cold = SliceRow(group="not in train", label="cold users' rows", users=0, rows=4, small=True)
    return Test(
        owners.astype(np.int32),
        held,
        Catalogue(np.arange(ITEMS, 0, -1.0), USERS),
        [Slice("half", "first", early)],
        [cold],
    )


def judged(
    model: float, ease: float, validation: tuple[float | None, float | None] = (0.5, 0.2)
) -> list[Judged]:
    return [
        Judged(
            "model", "graph attention", "model", lists(model, 1), {"width": 64}, validation[0], 12.5
        ),
        Judged("ease", "EASE", "baseline", lists(ease, 2), {"λ": 200.0}, validation[1]),
        Judged("popularity", "Popularity <all>", "baseline", lists(0.05, 3), validation=0.01),
        Judged(
            "ials", "iALS", "baseline", skipped="the optional package implicit is not installed"
        ),
    ]


def report(*args: object, **kwargs: object) -> Report:
    facts = RunFacts(
        name="try",
        data="a log",
        target="buy",
        split="random",
        warm_users=USERS,
        rows={"train": 1000},
    )
    extras = {
        "history": [
            Epoch(epoch=1, loss=3.0, seconds=1.0),
            Epoch(epoch=2, loss=2.0, seconds=1.0, value=0.1),
        ],
        "index": ThroughIndex(kind="hnsw", exact={"ndcg@5": 0.3}, through={"ndcg@5": 0.29}),
        "warnings": ["only 22 test users are warm"],
    }
    return build_report(
        facts, judged(*args, **kwargs), held_out_set(), [5], "model", draws=500, **extras
    )  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def better() -> Report:
    return report(0.6, 0.3)


def test_figures(better: Report) -> None:
    value = better.row("model").metrics["hr@5"]
    hit = (lists(0.6, 1)[:, 0] == np.arange(USERS) % ITEMS).mean()
    assert value.value == pytest.approx(hit)
    assert value.low is not None and value.high is not None and value.low < hit < value.high
    assert better.row("model").metrics["coverage@5"].low is None
    assert better.slices[0].values["ease"] == pytest.approx(
        (lists(0.3, 2)[:120, 0] == np.arange(120) % ITEMS).mean()
    )
    assert better.slices[1].rows == 4 and better.slices[1].values == {}


def test_comparisons(better: Report) -> None:
    deciding = {one.other: one for one in better.comparisons if one.metric == "ndcg@5"}
    assert set(deciding) == {"ease", "popularity"}
    assert deciding["ease"].finding == "better" and deciding["ease"].low > 0
    assert all(one.p_holm >= one.p for one in better.comparisons)
    assert deciding["ease"].difference == pytest.approx(
        better.row("model").metrics["ndcg@5"].value - better.row("ease").metrics["ndcg@5"].value
    )


def test_the_model_wins(better: Report) -> None:
    assert better.verdict.winner == "model" and better.verdict.never_worse
    assert (
        better.verdict.line
        == "Best on validation (NDCG@5 0.5000): graph attention; no other is better than it on the test."
    )
    assert re.match(
        r"Graph attention puts at least one right item into the top 5 for \d+% of users; its NDCG@5 is [\d.]+% above "
        r"that of the best alternative, EASE \(95 % interval of the difference \+0\.\d+ to \+0\.\d+\)\.",
        better.headline,
    )


def test_a_baseline_wins_on_validation() -> None:
    found = report(0.3, 0.6, validation=(0.2, 0.5)).verdict
    assert found.winner == "ease" and not found.never_worse
    assert "EASE, a baseline. Graph attention is not the best choice for this log" in found.line


def test_chosen_on_validation_but_worse_on_the_test() -> None:
    found = report(0.3, 0.6)
    assert found.verdict.winner == "model" and not found.verdict.never_worse
    assert "on the test it is worse than EASE" in found.verdict.line
    assert "below that of the best alternative" in found.headline


def test_a_difference_within_noise_is_undecided() -> None:
    found = report(0.41, 0.4)
    assert "cannot be told apart" in found.headline and found.verdict.never_worse


def test_without_validation_the_test_decides_and_says_so() -> None:
    found = report(0.6, 0.3, validation=(None, None)).verdict
    assert found.decided_on == "test" and "nothing was held out for validation" in found.line


def test_nothing_to_compare_with() -> None:
    alone = build_report(RunFacts(), judged(0.6, 0.3)[:1], held_out_set(), [5], "model", draws=100)
    assert alone.comparisons == [] and alone.headline.endswith("nothing was compared with it.")


def test_the_main_model_needs_lists() -> None:
    with pytest.raises(UsageError, match="'ials' has no ranked lists"):
        build_report(RunFacts(), judged(0.6, 0.3), held_out_set(), [5], "ials", draws=100)


def test_json_goes_round(better: Report, tmp_path: Path) -> None:
    write_report(better, tmp_path)
    assert Report.load(tmp_path / "report.json") == better
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == render(better)
    with pytest.raises(DataError, match="no model 'svd'"):
        better.row("svd")


def test_same_run_same_bytes(better: Report) -> None:
    again = report(0.6, 0.3)
    assert again.model_dump_json() == better.model_dump_json() and render(again) == render(better)


class _Page(HTMLParser):
    """Collects what the page refers to, its open elements and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        links = [value for name, value in attrs if name in ("src", "href", "xlink:href") and value]
        self.outside += [link for link in links if not link.startswith("#")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_stands_alone_and_reads_in_the_dark(better: Report) -> None:
    text = render(better)
    page = _Page(text)
    assert page.outside == [] and "<script" not in text and "@import" not in text
    assert re.findall(r"url\((?!#)", text) == []
    assert "prefers-color-scheme: dark" in text and "currentColor" in text and "#010203" not in text


def test_the_page_is_accessible(better: Report) -> None:
    page = _Page(render(better))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption") >= 6
    assert all(
        attributes.get("scope") in ("col", "row")
        for tag, attributes in page.elements
        if tag == "th"
    )
    drawings = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(drawings) == 3 and all(
        one["role"] == "img" and one["aria-label"] for one in drawings
    )
    assert dict(page.elements)["html"] == {"lang": "en"}


def test_the_page_says_what_matters(better: Report) -> None:
    words = " ".join(" ".join(_Page(render(better)).words).split())
    for expected in (
        better.headline,
        "Safe to serve.",
        "only 22 test users are warm",
        "Not time-safe.",
        "left out: the optional package implicit is not installed",
        "Popularity <all>",
        "cold users' rows",
        "−0.0100",
    ):
        assert expected in words


@pytest.mark.parametrize(
    ("difference", "base", "words"),
    [
        (0.032, 1.0, "3.2% above"),
        (-0.01, 1.0, "1.0% below"),
        (0.7, 0.2, "4.5 times"),
        (0.1, 0.0, "above"),
    ],
)
def test_large_differences_are_told_as_multiples(
    difference: float, base: float, words: str
) -> None:
    assert _apart(difference, base) == words
