{{ config(materialized="external", location="products.parquet") }}
select sku as item_id, title, shelf
from read_csv('{{ env_var("SHOP", "shop") }}/products.csv')
