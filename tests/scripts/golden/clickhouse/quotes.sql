INSERT INTO notes VALUES ('a;b', 'it''s; fine', 'back\\slash \' quote;'), (2, 3, $$it's; raw$$);
SELECT "odd\";name", `other\`;name`, ‘typo;graphic’ AS “its;name”, $tag$ $$;$$ $tag$ FROM t;
SELECT $name, a$b$ FROM t;
SELECT {name:String}, [1, 2], x -> x + 1;
