-- Keys the agents report with. Only a hash is kept; the first characters tell a person which key it is.

CREATE TABLE api_key (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id  uuid        NOT NULL REFERENCES tenant ON DELETE CASCADE,
    prefix     text        NOT NULL,
    hash       bytea       NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

-- down
DROP TABLE api_key;
