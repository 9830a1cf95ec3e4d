{{ config(materialized='view') }}
SELECT id, title_name(customer) AS customer, net,
    {{ function('with_tax') }}(net, coalesce(country, 'DE')) AS gross
FROM {{ ref('orders') }}
