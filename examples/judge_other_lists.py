"""Judge lists that another system made, by the same exact metrics as every model here.

    python examples/judge_other_lists.py

The same from the command line: recsys evaluate --train train.parquet --test test.parquet --ranked
lists.csv --json
"""

import polars as pl

from recsys.core.ids import IdMap
from recsys.core.interactions import fit_interactions, hold_out
from recsys.core.tables import ITEM, USER
from recsys.evaluate.judge import judge

TRAIN = {"ann": ["tea", "milk"], "bob": ["tea", "bread"], "cat": ["milk", "bread", "jam"]}
TEST = {"ann": ["bread"], "bob": ["jam"]}
LISTS = {"ann": ["jam", "bread"], "bob": ["jam", "milk"]}


def coded(table: dict[str, list[str]], users: IdMap, items: IdMap) -> pl.DataFrame:
    pairs = [
        (users.internal(user), items.internal(item))
        for user, chosen in table.items()
        for item in chosen
    ]
    return pl.DataFrame(pairs, schema={USER: pl.Int32, ITEM: pl.Int32}, orient="row")


def main() -> None:
    users, items = (
        IdMap(pl.Series(sorted(TRAIN))),
        IdMap(pl.Series(["bread", "jam", "milk", "tea"])),
    )
    train = fit_interactions(coded(TRAIN, users, items), users, items, ("interaction",))
    held_out = hold_out(coded(TEST, users, items), train).matrix(train.num_users, train.num_items)
    ranked = [
        (user, item, place)
        for user, chosen in LISTS.items()
        for place, item in enumerate(chosen, start=1)
    ]
    lists = pl.DataFrame(ranked, schema=["user_id", "item_id", "rank"], orient="row")
    found = judge(lists, train, held_out, ks=[2], seen=train.matrix())
    for name, value in found.ranking.overall.items():
        print(f"{name:14} {value:.3f}")


if __name__ == "__main__":
    main()
