-- The agents of a tenant. The database itself keeps updated_at, whoever writes.

CREATE TABLE agent (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id  uuid        NOT NULL REFERENCES tenant ON DELETE CASCADE,
    slug       text        NOT NULL,
    settings   jsonb       NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, slug)
);

CREATE FUNCTION touch_updated_at() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END;
$$;

CREATE TRIGGER agent_touched
BEFORE UPDATE ON agent
FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

-- down
DROP TABLE agent;
DROP FUNCTION touch_updated_at();
