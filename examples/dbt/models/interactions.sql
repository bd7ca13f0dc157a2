-- Who bought what, and when. An order counts by its quantity, up to five.
select
    customer as user_id,
    sku as item_id,
    cast(ordered_at as timestamp) as bought_at,
    least(quantity, 5) as weight
from read_csv('{{ env_var("SHOP", "shop") }}/orders.csv')
where customer is not null
