-- requires: state/0003_version_1_of_every_dataset
-- key: workspace_id, dataset_id, dataset_version_id, id

-- Every item goes into version 1 of its dataset, once, as people see it now. FINAL gives the newest row of a sorting
-- key. Source and trace are part of that key, so an item whose source or trace changed has several, and `older`
-- holds all of them but the newest. What an earlier attempt has copied is passed over item by item, so a dataset
-- that it left half done is completed.

-- 5 million items then need about 2 GB: smaller blocks than usual, and no second copy of the keys to look items up by.
SET min_insert_block_size_bytes = 50000000, use_index_for_in_with_subqueries = 0;

INSERT INTO dataset_item_versions (
    id, workspace_id, dataset_id, dataset_version_id, dataset_item_id, source, trace_id, span_id,
    data, metadata, tags, item_created_at, item_created_by, item_last_updated_at, item_last_updated_by,
    created_by, last_updated_by)
WITH older AS (
    SELECT
        workspace_id, dataset_id, id,
        arrayJoin(arrayPopBack(arraySort(groupArray((last_updated_at, source, trace_id, span_id))))) AS place
    FROM dataset_items FINAL
    GROUP BY workspace_id, dataset_id, id
    HAVING count() > 1)
SELECT
    id,
    workspace_id,
    dataset_id,
    dataset_id AS dataset_version_id,
    id AS dataset_item_id,
    source,
    trace_id,
    span_id,
    data,
    metadata,
    tags,
    created_at AS item_created_at,
    created_by AS item_created_by,
    last_updated_at AS item_last_updated_at,
    last_updated_by AS item_last_updated_by,
    created_by,
    last_updated_by
FROM dataset_items FINAL
WHERE (workspace_id, dataset_id, id, source, trace_id, span_id) NOT IN (
        SELECT workspace_id, dataset_id, id, place.2, place.3, place.4
        FROM older)
    AND (workspace_id, dataset_id, id) NOT IN (
        SELECT workspace_id, dataset_id, id
        FROM dataset_item_versions
        WHERE dataset_version_id = dataset_id);

-- down
ALTER TABLE dataset_item_versions DELETE WHERE dataset_version_id = dataset_id;
