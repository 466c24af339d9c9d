-- Versions that people made have the items that they had before the upgrade.
-- expect: unchanged since before-versioning
-- empty: accept

-- database: analytics
SELECT workspace_id, dataset_id, dataset_version_id, count(DISTINCT id) AS items
FROM dataset_item_versions
WHERE dataset_version_id != dataset_id
GROUP BY workspace_id, dataset_id, dataset_version_id
ORDER BY workspace_id, dataset_id, dataset_version_id
