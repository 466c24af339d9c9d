-- Every dataset has version 1, under its own id.
-- expect: no rows

-- database: state
SELECT dataset.workspace_id, dataset.id, dataset.name
FROM datasets AS dataset
LEFT JOIN dataset_versions AS version ON version.id = dataset.id AND version.dataset_id = dataset.id
WHERE version.id IS NULL
