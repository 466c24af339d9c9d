-- Tokens and cost by agent and day. The view adds every run that arrives from now on; the days before are billed
-- already.

CREATE TABLE billing_meter (
    agent  LowCardinality(String),
    day    Date,
    runs   UInt64,
    tokens UInt64,
    cost   Decimal(18, 6)
) ENGINE = SummingMergeTree
ORDER BY (agent, day);

CREATE MATERIALIZED VIEW billing_meter_feed TO billing_meter AS
SELECT
    agent,
    toDate(started_at) AS day,
    count() AS runs,
    sum(tokens) AS tokens,
    sum(cost) AS cost
FROM run
GROUP BY agent, day;

-- down
DROP VIEW billing_meter_feed;
DROP TABLE billing_meter;
