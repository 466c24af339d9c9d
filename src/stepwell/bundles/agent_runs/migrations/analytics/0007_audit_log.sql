-- Who did what in the product, kept for seven years.

CREATE TABLE audit_log (
    tenant  LowCardinality(String),
    at      DateTime64(6, 'UTC') DEFAULT now64(6),
    actor   String,
    action  LowCardinality(String),
    subject String,
    details String DEFAULT ''
) ENGINE = MergeTree
PARTITION BY toYear(at)
ORDER BY (tenant, at)
TTL toDateTime(at) + INTERVAL 7 YEAR;

-- down
DROP TABLE audit_log;
