-- requires: state/0002_dataset_versions
-- lint: allow data-change because an installation has thousands of datasets, and nothing reads the versions yet

-- Every dataset gets version 1, whose id is the dataset's own id: ClickHouse can then fill the version without asking
-- this database for anything. Its items are not counted yet (-1). A dataset that people gave a version before this
-- keeps it, and its 'latest' tag.

INSERT INTO dataset_versions (
    id, workspace_id, dataset_id, version_hash, items_total, items_added, items_modified, items_deleted,
    change_description, created_at, created_by, last_updated_at, last_updated_by)
SELECT
    id, workspace_id, id, 'v1', -1, 0, 0, 0,
    'Initial version (migrated from draft)', created_at, created_by, last_updated_at, last_updated_by
FROM datasets
WHERE id NOT IN (SELECT id FROM dataset_versions);

INSERT INTO dataset_version_tags (
    workspace_id, dataset_id, tag, version_id, created_at, created_by, last_updated_at, last_updated_by)
SELECT
    version.workspace_id, version.dataset_id, 'latest', version.id,
    version.created_at, version.created_by, version.last_updated_at, version.last_updated_by
FROM dataset_versions AS version
WHERE version.id = version.dataset_id
    AND NOT EXISTS (
        SELECT 1
        FROM dataset_version_tags AS other
        WHERE other.workspace_id = version.workspace_id
            AND other.dataset_id = version.dataset_id
            AND other.tag = 'latest');

-- down
DELETE FROM dataset_version_tags
WHERE tag = 'latest'
    AND version_id IN (
        SELECT id
        FROM dataset_versions
        WHERE id = dataset_id AND change_description = 'Initial version (migrated from draft)');

DELETE FROM dataset_versions
WHERE id = dataset_id AND change_description = 'Initial version (migrated from draft)';
