-- The datasets are those of before the upgrade.
-- expect: unchanged since before-versioning

-- database: state
SELECT id, workspace_id, name, description, created_at, created_by
FROM datasets
ORDER BY id
