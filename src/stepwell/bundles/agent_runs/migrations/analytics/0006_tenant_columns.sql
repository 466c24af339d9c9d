-- requires: app/0001_tenants
-- key: id
-- writers: none

-- The tenant comes first in the sorting key, so that a tenant's dashboard reads a tenant's rows. ClickHouse can't
-- change a key, so the runs move to a new table, and the old one stays for the way back. The collector keeps its
-- spool while this runs: a run written between the copy and the renaming would stay behind.

CREATE TABLE run_v2 (
    tenant     LowCardinality(String),
    id         UUID,
    agent      LowCardinality(String),
    status     Enum8('ok' = 1, 'error' = 2, 'cancelled' = 3),
    started_at DateTime64(6, 'UTC'),
    ended_at   DateTime64(6, 'UTC'),
    input      String CODEC(ZSTD(3)),
    output     String CODEC(ZSTD(3)),
    tokens     UInt32,
    cost       Decimal(18, 6) COMMENT 'US dollars'
) ENGINE = MergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (tenant, agent, started_at, id);

INSERT INTO run_v2 (tenant, id, agent, status, started_at, ended_at, input, output, tokens, cost)
SELECT splitByChar('/', agent)[1] AS tenant, id, agent, status, started_at, ended_at, input, output, tokens, cost
FROM run;

-- lint: allow multi-rename because the collector keeps its spool meanwhile, and run_v1 is a name that stays
RENAME TABLE run TO run_v1, run_v2 TO run;

-- A materialized view goes with the table it was made on, whatever that is called now.
DROP VIEW billing_meter_feed;

CREATE MATERIALIZED VIEW billing_meter_feed TO billing_meter AS
SELECT
    agent,
    toDate(started_at) AS day,
    count() AS runs,
    sum(tokens) AS tokens,
    sum(cost) AS cost
FROM run
GROUP BY agent, day;

ALTER TABLE span ADD COLUMN tenant LowCardinality(String) DEFAULT '' AFTER run_id;

-- down
ALTER TABLE span DROP COLUMN tenant;

DROP VIEW billing_meter_feed;

-- Runs that arrived since then go back too.
INSERT INTO run_v1 (id, agent, status, started_at, ended_at, input, output, tokens, cost)
SELECT id, agent, status, started_at, ended_at, input, output, tokens, cost
FROM run
WHERE id NOT IN (SELECT id FROM run_v1);

RENAME TABLE run TO run_v2, run_v1 TO run;

DROP TABLE run_v2;

CREATE MATERIALIZED VIEW billing_meter_feed TO billing_meter AS
SELECT
    agent,
    toDate(started_at) AS day,
    count() AS runs,
    sum(tokens) AS tokens,
    sum(cost) AS cost
FROM run
GROUP BY agent, day;
