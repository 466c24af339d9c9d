CREATE TEMP TRIGGER a AFTER UPDATE ON t WHEN NEW.end > 1
BEGIN
  UPDATE t SET a = CASE WHEN NEW.begin THEN 1 ELSE 2 END;
  DELETE FROM u; -- END;
END;
create trigger b insert on t begin select 1; end ;
CREATE TABLE trigger_log (begin INT);
SELECT 1;
