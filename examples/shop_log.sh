#!/usr/bin/env bash
# From a shop's CSV with its own column names to recommendations, by flags alone.
#   bash examples/shop_log.sh orders.csv CustomerID StockCode InvoiceDate
set -euo pipefail
log=${1:?a CSV file} user=${2:?its user column} item=${3:?its item column} time=${4:?its time column}

recsys data check "$log" --user-col "$user" --item-col "$item" --time-col "$time"
recsys run --log "$log" --user-col "$user" --item-col "$item" --time-col "$time" --out runs/shop \
    --set clean.min_user_interactions=3 --set clean.min_item_interactions=3
recsys show runs/shop
recsys batch runs/shop -k 10 --out runs/shop-lists.parquet
