SELECT 1;
\set name 3
SELECT 2;
