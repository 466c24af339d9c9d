-- Every one of the experiments is in a project.
-- expect: zero

-- database: analytics
SELECT count()
FROM experiments FINAL
WHERE project_id = ''
