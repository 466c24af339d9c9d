-- Every one of the prompts is in a project.
-- expect: zero

-- database: state
SELECT count(*)
FROM prompts
WHERE coalesce(project_id, '') = ''
