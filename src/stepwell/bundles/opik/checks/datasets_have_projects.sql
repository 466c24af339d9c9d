-- Every one of the datasets is in a project.
-- expect: zero

-- database: state
SELECT count(*)
FROM datasets
WHERE coalesce(project_id, '') = ''
