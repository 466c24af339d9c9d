# a comment; with a space behind its mark
#! and with an exclamation mark;
// and with slashes;
SELECT 1 /* outer; /* nested; */ still; */ + 2; -- behind; it
SELECT 3--1;
;
SELECT 4
