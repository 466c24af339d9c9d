-- Semicolons inside quotes belong to the statement.
INSERT INTO notes VALUES ('a;b', 'it''s; fine', E'back\\slash \' quote;', U&'\0061;');
SELECT "odd;name", B'0101', X'1F' FROM "t"";";
-- An escape string goes on over a line break, escapes included.
SELECT E'one'
  -- with a comment between;
  '\';two';
SELECT 'no escape here \';
