CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.at := now(); -- don't stop here;
  RETURN NEW;
END $$;

DO $body$
BEGIN
  EXECUTE $$ SELECT 'x;y' $$;
END
$body$;

-- a$b$c is one word, not a quote.
SELECT a$b$c FROM t; SELECT $é$;$é$;
