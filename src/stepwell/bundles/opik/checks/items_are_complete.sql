-- Version 1 holds as many items as there are.
-- expect: equal

-- database: analytics
SELECT count(DISTINCT workspace_id, dataset_id, id)
FROM dataset_items

-- database: analytics
SELECT count(DISTINCT workspace_id, dataset_id, id)
FROM dataset_item_versions
WHERE dataset_version_id = dataset_id
