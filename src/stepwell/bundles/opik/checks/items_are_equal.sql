-- Every item is in version 1 as its newest row has it: data, metadata, tags and origin. By hash, item by item; an item
-- that only one side has differs too. Holds until somebody edits an item of 1.x that was copied.
-- expect: no rows

-- database: analytics
SELECT workspace_id, dataset_id, id
FROM (
    SELECT
        workspace_id, dataset_id, id,
        argMax(
            sipHash128(data, metadata, tags, source, trace_id, span_id),
            (last_updated_at, source, trace_id, span_id)) AS content
    FROM dataset_items FINAL
    GROUP BY workspace_id, dataset_id, id
    UNION ALL
    SELECT
        workspace_id, dataset_id, id,
        sipHash128(data, metadata, tags, source, trace_id, span_id) AS content
    FROM dataset_item_versions FINAL
    WHERE dataset_version_id = dataset_id)
GROUP BY workspace_id, dataset_id, id
HAVING count() != 2 OR min(content) != max(content)
LIMIT 100
