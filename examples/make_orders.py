"""Write the made-up shop of docs/tutorial.md: orders.csv and products.csv.

python examples/make_orders.py shop
"""

import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

SHELVES = {
    "coffee": ["espresso beans", "filter beans", "grinder", "moka pot", "paper filters", "scale"],
    "tea": ["green tea", "black tea", "teapot", "tea strainer", "honey", "infuser mug"],
    "baking": ["flour", "yeast", "proofing basket", "bread knife", "baking tin", "rolling pin"],
    "garden": ["seeds", "trowel", "gloves", "watering can", "compost", "plant labels"],
}
KINDS = ["basic", "organic", "large"]
CUSTOMERS = 400
OPENING = datetime(2025, 1, 1, 8)
DAYS = 300
SHARE_OF_TASTE = 0.85  # of a customer's orders that come from the shelf that they like


def products() -> pl.DataFrame:
    """One row a product: sku, title, shelf, price."""
    rows = []
    for shelf, names in SHELVES.items():
        for name in names:
            for kind in KINDS:
                number = len(rows) + 1
                rows.append((f"P{number:03d}", f"{name}, {kind}", shelf, 2.0 + number % 17))
    return pl.DataFrame(rows, schema=["sku", "title", "shelf", "price"], orient="row")


def orders(catalogue: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """One row an order, by time: customer, sku, ordered_at, quantity; a few have no customer."""
    rng = np.random.default_rng(seed)
    shelf_of_product = catalogue["shelf"].to_numpy()
    skus = catalogue["sku"].to_numpy()
    # A few products of a shelf sell much more often than the others.
    demand = 1.0 / (5.0 + rng.permutation(len(skus)))
    rows = []
    for customer in range(CUSTOMERS):
        taste = rng.choice(list(SHELVES))
        weights = np.where(shelf_of_product == taste, SHARE_OF_TASTE, 1 - SHARE_OF_TASTE) * demand
        num_orders = min(int(rng.integers(4, 16)), len(skus))
        bought = rng.choice(skus, size=num_orders, replace=False, p=weights / weights.sum())
        for sku in bought:
            moment = OPENING + timedelta(minutes=int(rng.integers(DAYS * 24 * 60)))
            name = f"c{customer + 1:04d}" if rng.random() > 0.01 else None
            rows.append((name, sku, moment, int(rng.integers(1, 4))))
    table = pl.DataFrame(rows, schema=["customer", "sku", "ordered_at", "quantity"], orient="row")
    return table.sort("ordered_at", "sku")


def main(folder: str = "shop") -> None:
    """Write both tables into the folder."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    catalogue = products()
    catalogue.write_csv(target / "products.csv")
    orders(catalogue).write_csv(target / "orders.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    print(f"{target / 'orders.csv'} and {target / 'products.csv'} are written")


if __name__ == "__main__":
    main(*sys.argv[1:])
