-- Who the product belongs to. A tenant's slug is the first half of every agent's name: acme/support-bot.

CREATE TABLE tenant (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    slug       text        NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9-]+$'),
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE member (
    tenant_id uuid NOT NULL REFERENCES tenant ON DELETE CASCADE,
    email     text NOT NULL,
    role      text NOT NULL CHECK (role IN ('owner', 'editor', 'viewer')),
    PRIMARY KEY (tenant_id, email)
);

-- down
DROP TABLE member;
DROP TABLE tenant;
