-- Every dataset has a tag 'latest', on a version of its own.
-- expect: no rows

-- database: state
SELECT dataset.workspace_id, dataset.id, dataset.name
FROM datasets AS dataset
LEFT JOIN dataset_version_tags AS tag
    ON tag.workspace_id = dataset.workspace_id AND tag.dataset_id = dataset.id AND tag.tag = 'latest'
LEFT JOIN dataset_versions AS version ON version.id = tag.version_id AND version.dataset_id = dataset.id
WHERE version.id IS NULL
