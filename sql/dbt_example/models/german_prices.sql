{{ config(materialized='table') }}
SELECT id, {{ function('with_tax') }}(net) AS gross FROM {{ ref('orders') }}
