-- Every one of the optimizations is in a project.
-- expect: zero

-- database: analytics
SELECT count()
FROM optimizations FINAL
WHERE project_id = ''
