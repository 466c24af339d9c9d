INSERT INTO notes VALUES ('a;b', "it's; fine", 'back\\slash \' quote;', "say ""x;""");
SELECT `odd;name`, `back\`, N'x;', _utf8mb4'y;', @'z;' FROM t;
SELECT 1--1; -- minus minus one is not a comment, this is;
SELECT 2 # nor is this a statement;
;
SELECT /*+ MAX_EXECUTION_TIME(1000) */ 3 /* inside; */;
