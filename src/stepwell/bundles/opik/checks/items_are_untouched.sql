-- Each dataset has the items that it had before the upgrade.
-- expect: unchanged since before-versioning

-- database: analytics
SELECT workspace_id, dataset_id, count(DISTINCT id) AS items
FROM dataset_items
GROUP BY workspace_id, dataset_id
ORDER BY workspace_id, dataset_id
