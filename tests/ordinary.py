"""Four hundred ordinary migrations, a hundred an engine: what careful people write, of which a linter has nothing to say.

Deterministic, so that a false alarm has a name. Each has a way back, for one rule asks for it.
"""

from __future__ import annotations

from itertools import cycle, islice

TABLES = ("users", "invoices", "sessions", "audit_events", "feature_flags", "api_tokens", "shipments", "carts")

POSTGRES = {
    "create": """
CREATE TABLE {t} (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_id   bigint NOT NULL REFERENCES owners (id),
    name       text NOT NULL CHECK (length(name) < 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner_id, name)
);
CREATE INDEX {t}_owner ON {t} (owner_id);
-- down
DROP TABLE {t};
""",
    "if_not_exists": """
CREATE TABLE IF NOT EXISTS {t} (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "order" integer);
CREATE UNIQUE INDEX IF NOT EXISTS {t}_order ON {t} ("order");
COMMENT ON TABLE {t} IS 'DROP COLUMN is only a word here; RENAME TO, too';
-- down
DROP TABLE IF EXISTS {t};
""",
    "add_columns": """
ALTER TABLE {t} ADD COLUMN note text, ADD COLUMN seen_at timestamptz DEFAULT now(), ADD COLUMN n integer NOT NULL DEFAULT 0;
-- down
ALTER TABLE {t} DROP COLUMN note, DROP COLUMN seen_at, DROP COLUMN n;
""",
    "index": """
-- lock-timeout: 2s

CREATE INDEX CONCURRENTLY IF NOT EXISTS {t}_name ON public.{t} USING btree (lower(name)) WHERE name IS NOT NULL;
-- down
DROP INDEX CONCURRENTLY {t}_name;
""",
    "constraint": """
ALTER TABLE {t} ADD CONSTRAINT {t}_positive CHECK (amount > 0) NOT VALID;
-- down
ALTER TABLE {t} DROP CONSTRAINT {t}_positive;
""",
    "validate": """
ALTER TABLE {t} VALIDATE CONSTRAINT {t}_positive;
-- down
SELECT 1;
""",
    "view": """
CREATE OR REPLACE VIEW {t}_live AS SELECT id, name FROM {t} WHERE deleted_at IS NULL;
CREATE MATERIALIZED VIEW {t}_sums AS SELECT owner_id, count(*) AS n FROM {t} GROUP BY owner_id;
GRANT SELECT ON {t}_live TO reader;
-- down
DROP MATERIALIZED VIEW {t}_sums;
DROP VIEW {t}_live;
""",
    "function": """
CREATE FUNCTION {t}_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE owners SET touched = now();
    DELETE FROM {t}_cache;
    RETURN NEW;
END $$;
CREATE TRIGGER {t}_touched BEFORE UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION {t}_touch();
-- down
DROP TRIGGER {t}_touched ON {t};
DROP FUNCTION {t}_touch();
""",
    "enum": """
CREATE TYPE {t}_state AS ENUM ('new', 'paid', 'it''s; done');
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE SEQUENCE {t}_numbers;
-- down
DROP SEQUENCE {t}_numbers;
DROP TYPE {t}_state;
""",
    "seed": """
INSERT INTO {t} (id, name) VALUES (1, 'UPDATE {t} SET x = 1'), (2, 'https://example.com/a:b'), (3, 'password: ask ops');
UPDATE {t} SET name = 'two' WHERE id = 2;
DELETE FROM {t} WHERE name IN ('x', 'y');
-- down
DELETE FROM {t} WHERE id IN (1, 2, 3);
""",
    "partition": """
CREATE TABLE {t}_2026_01 PARTITION OF {t} FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
-- down
DROP TABLE {t}_2026_01;
""",
    "default": """
ALTER TABLE {t} ALTER COLUMN state SET DEFAULT 'new';
ALTER TABLE {t} ALTER COLUMN note DROP NOT NULL;
-- down
ALTER TABLE {t} ALTER COLUMN state DROP DEFAULT;
""",
    "role": """
CREATE ROLE {t}_reader LOGIN PASSWORD '${{READER_PASSWORD}}';
ALTER ROLE {t}_reader SET statement_timeout = '5s';
-- down
DROP ROLE {t}_reader;
""",
}

MYSQL = {
    "create": """
CREATE TABLE `{t}` (
  `id` BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  `email` VARCHAR(255) NOT NULL,
  `kind` ENUM('a','b;c') NOT NULL DEFAULT 'a',
  `body` TEXT,
  `created_at` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (`id`), UNIQUE KEY `{t}_email` (`email`), KEY `{t}_created` (`created_at`, `kind`),
  CONSTRAINT `{t}_owner` FOREIGN KEY (`id`) REFERENCES `owners` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
-- down
DROP TABLE `{t}`;
""",
    "add": """
ALTER TABLE {t} ADD COLUMN note VARCHAR(100) NULL AFTER id, ADD COLUMN `modify` INT NOT NULL DEFAULT 0, ADD INDEX {t}_note (note);
-- down
ALTER TABLE {t} DROP INDEX {t}_note, DROP COLUMN note, DROP COLUMN `modify`;
""",
    "online": """
ALTER TABLE {t} MODIFY note VARCHAR(200) NOT NULL DEFAULT '', ALGORITHM=INPLACE, LOCK=NONE;
ALTER TABLE {t} ADD COLUMN flag TINYINT(1) DEFAULT 0, ALGORITHM=INSTANT;
-- down
ALTER TABLE {t} DROP COLUMN flag;
""",
    "index": """
CREATE UNIQUE INDEX {t}_pair ON {t} (owner_id, name(50));
# an ordinary comment: RENAME TABLE a TO b
-- down
DROP INDEX {t}_pair ON {t};
""",
    "trigger": """
CREATE TRIGGER {t}_before BEFORE INSERT ON {t} FOR EACH ROW
BEGIN
    IF NEW.name IS NULL THEN
        UPDATE owners SET n = n + 1;
    END IF;
END;
-- down
DROP TRIGGER {t}_before;
""",
    "seed": """
INSERT INTO {t} (id, name) VALUES (1, 'it\\'s'), (2, "DELETE FROM {t}");
UPDATE {t} SET name = 'x' WHERE id = 1;
-- down
DELETE FROM {t} WHERE id IN (1, 2);
""",
    "view": """
CREATE OR REPLACE VIEW {t}_view AS SELECT id, name FROM {t} WHERE name <> '';
SET SESSION sql_mode = 'STRICT_ALL_TABLES';
-- down
DROP VIEW {t}_view;
""",
    "instant": """
ALTER TABLE {t} ALTER COLUMN state SET DEFAULT 'new';
ALTER TABLE {t} DROP INDEX {t}_old;
ALTER TABLE {t} COMMENT = 'ORDER BY nothing';
-- down
ALTER TABLE {t} ALTER COLUMN state DROP DEFAULT;
""",
    "stage": """
CREATE TABLE {t}_new LIKE {t};
ALTER TABLE {t}_new MODIFY id BIGINT UNSIGNED NOT NULL;
RENAME TABLE {t} TO {t}_old, {t}_new TO {t};
-- down
RENAME TABLE {t} TO {t}_new, {t}_old TO {t};
""",
    "user": """
CREATE USER {t}_reader IDENTIFIED BY '${{READER_PASSWORD}}';
GRANT SELECT ON app.* TO {t}_reader;
-- down
DROP USER {t}_reader;
""",
}

SQLITE = {
    "create": """
CREATE TABLE {t} (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT '', owner INTEGER REFERENCES owners (id));
CREATE INDEX {t}_name ON {t} (name);
-- down
DROP TABLE {t};
""",
    "add": """
ALTER TABLE {t} ADD COLUMN note TEXT;
CREATE INDEX {t}_note ON {t} (note);
-- down
DROP INDEX {t}_note;
ALTER TABLE {t} DROP COLUMN note;
""",
    "rebuild": """
CREATE TABLE {t}_new (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO {t}_new (id, name) VALUES (1, 'a');
ALTER TABLE {t}_new RENAME TO {t};
-- down
DROP TABLE {t};
""",
    "trigger": """
CREATE TRIGGER {t}_after AFTER INSERT ON {t} BEGIN
    UPDATE owners SET n = n + 1;
    DELETE FROM cache;
END;
-- down
DROP TRIGGER {t}_after;
""",
    "seed": """
INSERT INTO [{t}] (id, name) VALUES (1, 'x');
DELETE FROM {t} WHERE id = 3;
PRAGMA optimize;
-- down
DELETE FROM {t} WHERE id = 1;
""",
}

CLICKHOUSE = {
    "create": """
CREATE TABLE {t} (
    id UUID, at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)), name LowCardinality(String), note Nullable(String),
    n UInt32 MATERIALIZED length(name), INDEX by_name name TYPE bloom_filter GRANULARITY 4,
    PROJECTION sums (SELECT name, count() GROUP BY name)
) ENGINE = MergeTree PARTITION BY toYYYYMM(at) PRIMARY KEY (name, at) ORDER BY (name, at, id)
TTL toDateTime(at) + INTERVAL 90 DAY SETTINGS index_granularity = 8192;
-- down
DROP TABLE {t};
""",
    "replacing": """
CREATE TABLE IF NOT EXISTS {t} ON CLUSTER '{{cluster}}' (id UInt64, v UInt64)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{{shard}}/{t}', '{{replica}}', v) ORDER BY id;
-- down
DROP TABLE {t} ON CLUSTER '{{cluster}}';
""",
    "add": """
ALTER TABLE {t} ADD COLUMN IF NOT EXISTS region LowCardinality(String) DEFAULT '' AFTER name;
ALTER TABLE {t} ADD INDEX by_region region TYPE set(100) GRANULARITY 2;
ALTER TABLE {t} MODIFY COLUMN region COMMENT 'DELETE is a word';
-- down
ALTER TABLE {t} DROP INDEX by_region, DROP COLUMN region;
""",
    "view": """
CREATE MATERIALIZED VIEW {t}_feed TO {t}_sums AS SELECT name, count() AS n FROM {t} GROUP BY name;
-- down
DROP VIEW {t}_feed;
""",
    "key": """
ALTER TABLE {t} ADD COLUMN kind UInt8, MODIFY ORDER BY (id, kind);
ALTER TABLE {t} MODIFY TTL at + INTERVAL 30 DAY;
ALTER TABLE {t} MODIFY SETTING parts_to_throw_insert = 500;
-- down
SELECT 1;
""",
    "stage": """
-- writers: none

CREATE TABLE {t}_new AS {t};
INSERT INTO {t}_new SELECT * FROM {t};
EXCHANGE TABLES {t} AND {t}_new;
-- down
EXCHANGE TABLES {t} AND {t}_new;
""",
    "seed": """
INSERT INTO {t} (id, name) VALUES (1, 'a'), (2, 'ALTER TABLE x DELETE WHERE 1');
INSERT INTO {t} SELECT number, toString(number) FROM numbers(10);
INSERT INTO {t} SELECT * FROM {t}_raw WHERE id < 100;
-- down
ALTER TABLE {t} DELETE WHERE id < 100;
""",
    "partition": """
ALTER TABLE {t} DELETE IN PARTITION 202401 WHERE id = 1;
ALTER TABLE {t} FREEZE;
OPTIMIZE TABLE {t} FINAL;
SYSTEM RELOAD DICTIONARIES;
-- down
SELECT 1;
""",
    "dictionary": """
CREATE DICTIONARY {t}_names (id UInt64, name String) PRIMARY KEY id
SOURCE(CLICKHOUSE(TABLE '{t}' PASSWORD '${{CLICKHOUSE_PASSWORD}}')) LAYOUT(FLAT()) LIFETIME(300);
-- down
DROP DICTIONARY {t}_names;
""",
}

SHAPES = {"postgres": POSTGRES, "mysql": MYSQL, "sqlite": SQLITE, "clickhouse": CLICKHOUSE}


def migrations(engine: str, count: int = 100) -> dict[str, str]:
    """Scripts by their file's name, numbered: every shape in turn, for one table after another."""
    shapes = list(SHAPES[engine].items())
    chosen = islice(cycle(shapes), count)
    return {
        f"{number:04}_{name}.sql": text.lstrip("\n").format(t=f"{TABLES[number % len(TABLES)]}_{number}")
        for number, (name, text) in enumerate(chosen, start=1)
    }
