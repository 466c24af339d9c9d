-- Examples that people picked from runs, to evaluate the next version of an agent with.

CREATE TABLE dataset_item (
    id         UUID,
    dataset    LowCardinality(String),
    run_id     UUID,
    input      String,
    expected   String,
    updated_at DateTime64(6, 'UTC') DEFAULT now64(6),
    INDEX dataset_item_run run_id TYPE bloom_filter GRANULARITY 4
) ENGINE = ReplacingMergeTree(updated_at)
ORDER BY (dataset, id);

-- down
DROP TABLE dataset_item;
