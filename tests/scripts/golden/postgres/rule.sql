CREATE RULE keep AS ON DELETE TO items DO INSTEAD (
  UPDATE items SET gone = true WHERE id = OLD.id;
  NOTIFY items
);
SELECT 1;
