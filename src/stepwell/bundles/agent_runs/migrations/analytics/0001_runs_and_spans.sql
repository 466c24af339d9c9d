-- A run is one task an agent worked on; its spans are the model and tool calls inside it. Both are written once, when
-- they end. `agent` is tenant/agent, as in acme/support-bot.

CREATE TABLE run (
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
ORDER BY (agent, started_at, id);

CREATE TABLE span (
    id         UUID,
    run_id     UUID,
    parent_id  UUID DEFAULT toUUID('00000000-0000-0000-0000-000000000000'),
    kind       Enum8('model' = 1, 'tool' = 2, 'retrieval' = 3),
    name       LowCardinality(String),
    started_at DateTime64(6, 'UTC'),
    duration   UInt32 COMMENT 'microseconds',
    attributes Map(LowCardinality(String), String)
) ENGINE = MergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (run_id, started_at, id);

-- down
DROP TABLE span;
DROP TABLE run;
