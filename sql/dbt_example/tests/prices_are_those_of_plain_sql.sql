SELECT id FROM {{ ref('sales') }} JOIN {{ ref('orders') }} USING (id)
WHERE gross IS DISTINCT FROM round(net * CASE coalesce(country, 'DE') WHEN 'FR' THEN 1.2 ELSE 1.19 END, 2)
