{{ config(materialized='incremental', unique_key='id') }}
SELECT id, title_name(customer) AS customer, {{ function('with_tax') }}(net, coalesce(country, 'DE')) AS gross
FROM {{ ref('orders') }}
WHERE net IS NOT NULL
