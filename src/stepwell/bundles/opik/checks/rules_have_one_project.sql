-- No automation rule is in more than one project.
-- expect: no rows

-- database: state
SELECT workspace_id, rule_id, count(*) AS projects
FROM automation_rule_projects
GROUP BY workspace_id, rule_id
HAVING count(*) > 1
