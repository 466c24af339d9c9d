-- phase: expand

-- Where datasets, prompts and alerts will say which project they are in. Nothing of 1.x reads these columns;
-- NULL is a row that the jobs have not placed yet.

ALTER TABLE datasets ADD COLUMN project_id CHAR(36);

ALTER TABLE prompts ADD COLUMN project_id CHAR(36);

ALTER TABLE alerts ADD COLUMN project_id CHAR(36);

-- down
ALTER TABLE alerts DROP COLUMN project_id;

ALTER TABLE prompts DROP COLUMN project_id;

ALTER TABLE datasets DROP COLUMN project_id;
