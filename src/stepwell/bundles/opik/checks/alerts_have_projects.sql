-- Every one of the alerts is in a project.
-- expect: zero

-- database: state
SELECT count(*)
FROM alerts
WHERE coalesce(project_id, '') = ''
