"""The cards of a bundle, read as the Hub reads them, beside the report that they are made of."""

from pathlib import Path

import pytest

from bundles import copy_with_report
from recsys.bundle.bundle import Bundle
from recsys.core.errors import DataError
from recsys.evaluate.cards import data_card, model_card, write_cards
from recsys.evaluate.document import (
    Comparison,
    LeftOutRow,
    ModelRow,
    Report,
    RunFacts,
    SliceRow,
    StageRow,
    Value,
    Verdict,
)
from worlds import make_contents_with_genres, write_world

hub = pytest.importorskip("huggingface_hub")

METRIC = "ndcg@10"


def make_report(seconds: float = 3600.0) -> Report:
    value = Value(value=0.25, low=0.2, high=0.3)
    return Report(
        headline="NDCG@10 0.2500",
        facts=RunFacts(
            name="shop",
            data="log|1.parquet",
            target="buy",
            split="last_share",
            rows={"train": 80, "test": 20},
            drops={"no item": 3},
            warm_users=17,
        ),
        main="model",
        deciding=METRIC,
        draws=100,
        models=[
            ModelRow(name="model", title="The model", role="model", metrics={METRIC: value}),
            ModelRow(
                name="itemknn",
                title="Item|KNN",
                role="baseline",
                metrics={METRIC: Value(value=0.2, low=0.1, high=0.25)},
            ),
            ModelRow(name="ials", title="iALS", role="baseline", skipped="not installed"),
        ],
        comparisons=[
            Comparison(
                other="itemknn",
                metric=METRIC,
                difference=0.05,
                low=0.01,
                high=0.09,
                p=0.01,
                p_holm=0.02,
                finding="better",
            )
        ],
        verdict=Verdict(winner="model", decided_on="validation", never_worse=True, line="It wins."),
        slices=[SliceRow(group="history", label="1–5", users=4, rows=5, values={"model": 0.11})],
        left_out=[LeftOutRow(part="ablation", loss="what relations bring")],
        warnings=["Few users: 17"],
        stages=[StageRow(name="train", seconds=seconds), StageRow(name="bundle")],
    )


@pytest.fixture
def with_report(tmp_path: Path) -> Bundle:
    path = write_world(tmp_path / "plain", make_contents_with_genres())
    document = make_report().model_dump(mode="json")
    return Bundle.load(copy_with_report(path, tmp_path / "reported", document, "<p>"))


def test_the_hub_reads_the_figures_of_the_model_card(with_report: Bundle) -> None:
    card = hub.ModelCard(model_card(with_report, "apache-2.0"))
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "recsys")
    [result] = card.data.eval_results
    assert (result.metric_type, result.metric_value) == (METRIC, 0.25)
    assert result.dataset_name == "shop" and card.data.model_name == f"shop-{with_report.name}"
    assert "| ndcg@10 | 0.2500 | 0.2000 to 0.3000 |" in card.text
    assert "| Item\\|KNN | 0.2000 | 0.1000 to 0.2500 | +0.0500 (better, p 0.020 after Holm) |" in (
        card.text
    )
    assert "| iALS | skipped: not installed | | |" in card.text
    assert "| history | 1–5 | 4 | 0.1100 |  |" in card.text
    assert "- Few users: 17" in card.text and "ablation: what relations bring" in card.text
    # 3,600 processor seconds at 10 W are 10 Wh.
    assert "3,600 processor seconds" in card.text and "10.00 Wh" in card.text


def test_the_hub_reads_the_data_card(with_report: Bundle) -> None:
    card = hub.DatasetCard(data_card(with_report))
    assert card.data.pretty_name == "shop" and card.data.size_categories == ["n<1K"]
    assert "| log | log\\|1.parquet |" in card.text
    assert "| users, items | 30, 40 (1 withdrawn) |" in card.text
    assert f"| buy | {with_report.seen['buy'].nnz:,} |" in card.text
    assert "| genres | String | 100.0 % |" in card.text
    assert "| no item | 3 |" in card.text


def test_the_same_bundle_has_the_same_cards_and_its_name_stays(
    with_report: Bundle, tmp_path: Path
) -> None:
    first = write_cards(with_report, tmp_path / "a")
    second = write_cards(with_report, tmp_path / "b")
    assert [path.name for path in first] == ["README.md", "DATA.md"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    # What a run took is told on the card, and moves no name.
    document = make_report(seconds=7.0).model_dump(mode="json")
    slower = copy_with_report(with_report.path, tmp_path / "slower", document, "<p>")
    assert slower.name == with_report.name
    assert "7 processor seconds" in model_card(Bundle.load(slower))


def test_without_a_report_there_is_no_card(bundle: Bundle) -> None:
    with pytest.raises(DataError, match=f"bundle {bundle.name} has no report"):
        model_card(bundle)
