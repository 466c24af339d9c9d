INSERT INTO notes VALUES ('a;b', 'it''s; fine', 'no escape \');
SELECT "odd;name", `other;name`, [third;'name] FROM t; -- behind; it
SELECT 1 /* not /* nested; */ + 2;
SELECT 1--1;
;
SELECT $name::x;
