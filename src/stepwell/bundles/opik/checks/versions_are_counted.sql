-- No version waits to be counted.
-- expect: zero

-- database: state
SELECT count(*)
FROM dataset_versions
WHERE items_total = -1
