-- Version 1 of each dataset holds as many items as the dataset.
-- expect: match on workspace_id, dataset_id

-- database: analytics
SELECT workspace_id, dataset_id, count(DISTINCT id) AS items
FROM dataset_items
GROUP BY workspace_id, dataset_id
ORDER BY workspace_id, dataset_id
SETTINGS optimize_aggregation_in_order = 1

-- database: analytics
SELECT workspace_id, dataset_id, count(DISTINCT id) AS items
FROM dataset_item_versions
WHERE dataset_version_id = dataset_id
GROUP BY workspace_id, dataset_id
ORDER BY workspace_id, dataset_id
SETTINGS optimize_aggregation_in_order = 1
