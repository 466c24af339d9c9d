-- phase: expand

-- The items of each dataset version. In version 1 an item keeps its id; in later versions each copy has its own,
-- and dataset_item_id says which item it is.

CREATE TABLE dataset_item_versions (
    id                   FixedString(36),
    workspace_id         String,
    dataset_id           FixedString(36),
    dataset_version_id   FixedString(36),
    dataset_item_id      FixedString(36),
    source               Enum8('unknown' = 0, 'sdk' = 1, 'manual' = 2, 'span' = 3, 'trace' = 4),
    trace_id             String DEFAULT '',
    span_id              String DEFAULT '',
    data                 Map(String, String),
    metadata             String DEFAULT '',
    tags                 Array(String),
    item_created_at      DateTime64(9, 'UTC'),
    item_created_by      String DEFAULT '',
    item_last_updated_at DateTime64(9, 'UTC'),
    item_last_updated_by String DEFAULT '',
    created_at           DateTime64(9, 'UTC') DEFAULT now64(9),
    created_by           String DEFAULT '',
    last_updated_at      DateTime64(9, 'UTC') DEFAULT now64(9),
    last_updated_by      String DEFAULT ''
) ENGINE = ReplacingMergeTree(last_updated_at)
ORDER BY (workspace_id, dataset_id, dataset_version_id, id);

-- down
DROP TABLE dataset_item_versions;
