/* A comment; /* nested; */ still the comment; */
SELECT 1 /* inside; */ + 2; -- behind; it
-- before; it
SELECT 3 -- the last one needs no semicolon
;;
;
/* only comments follow */
