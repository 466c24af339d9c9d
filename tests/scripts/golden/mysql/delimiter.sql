CREATE TABLE t (a INT, delimiter VARCHAR(9));
DELIMITER $$
CREATE TRIGGER t_before BEFORE INSERT ON t FOR EACH ROW
BEGIN
  SET NEW.a = 1; -- $$ in a comment
  SET @x = '$$';
END$$
CREATE PROCEDURE p() SELECT 1;
$$
delimiter ;  -- back again
SELECT 2;
DELIMITER //
SELECT 3 //
