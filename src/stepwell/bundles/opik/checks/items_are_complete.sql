-- Version 1 holds as many items as there are: counted dataset by dataset in the order that the rows lie in, which takes
-- half of the time.
-- expect: equal

-- database: analytics
SELECT sum(items)
FROM (
    SELECT count(DISTINCT id) AS items
    FROM dataset_items
    GROUP BY workspace_id, dataset_id)
SETTINGS optimize_aggregation_in_order = 1

-- database: analytics
SELECT sum(items)
FROM (
    SELECT count(DISTINCT id) AS items
    FROM dataset_item_versions
    WHERE dataset_version_id = dataset_id
    GROUP BY workspace_id, dataset_id)
SETTINGS optimize_aggregation_in_order = 1
