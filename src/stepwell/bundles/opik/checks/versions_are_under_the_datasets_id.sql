-- What the migration made is version 1 of the dataset whose id it carries.
-- expect: no rows

-- database: state
SELECT workspace_id, id, dataset_id, version_hash
FROM dataset_versions
WHERE change_description = 'Initial version (migrated from draft)'
    AND (id != dataset_id OR version_hash != 'v1')
