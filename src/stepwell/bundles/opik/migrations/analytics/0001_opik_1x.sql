-- The analytics of Opik 1.x: what applications send, too much of it for MySQL.
-- A row is updated by inserting it again, whole, with a newer last_updated_at, so it exists in several versions until
-- ClickHouse merges them: readers use FINAL or count distinct ids.

CREATE TABLE traces (
    id              FixedString(36),
    workspace_id    String,
    project_id      FixedString(36),
    name            String,
    start_time      DateTime64(9, 'UTC') DEFAULT now64(9),
    end_time        Nullable(DateTime64(9, 'UTC')),
    input           String DEFAULT '',
    output          String DEFAULT '',
    metadata        String DEFAULT '',
    tags            Array(String),
    created_at      DateTime64(9, 'UTC') DEFAULT now64(9),
    created_by      String DEFAULT '',
    last_updated_at DateTime64(9, 'UTC') DEFAULT now64(9),
    last_updated_by String DEFAULT ''
) ENGINE = ReplacingMergeTree(last_updated_at)
ORDER BY (workspace_id, project_id, id);

CREATE TABLE dataset_items (
    id              FixedString(36),
    workspace_id    String,
    dataset_id      FixedString(36),
    source          Enum8('unknown' = 0, 'sdk' = 1, 'manual' = 2, 'span' = 3, 'trace' = 4),
    trace_id        String DEFAULT '',
    span_id         String DEFAULT '',
    input           String DEFAULT '',
    expected_output String DEFAULT '',
    metadata        String DEFAULT '',
    data            Map(String, String),
    tags            Array(String),
    created_at      DateTime64(9, 'UTC') DEFAULT now64(9),
    created_by      String DEFAULT '',
    last_updated_at DateTime64(9, 'UTC') DEFAULT now64(9),
    last_updated_by String DEFAULT ''
) ENGINE = ReplacingMergeTree(last_updated_at)
ORDER BY (workspace_id, dataset_id, source, trace_id, span_id, id);

CREATE TABLE experiments (
    id              FixedString(36),
    workspace_id    String,
    dataset_id      FixedString(36),
    project_id      String DEFAULT '',
    name            String,
    metadata        String DEFAULT '',
    prompt_id       String DEFAULT '',
    prompt_versions Map(FixedString(36), Array(FixedString(36))),
    optimization_id String DEFAULT '',
    created_at      DateTime64(9, 'UTC') DEFAULT now64(9),
    created_by      String DEFAULT '',
    last_updated_at DateTime64(9, 'UTC') DEFAULT now64(9),
    last_updated_by String DEFAULT ''
) ENGINE = ReplacingMergeTree(last_updated_at)
ORDER BY (workspace_id, dataset_id, id);

CREATE TABLE experiment_items (
    id              FixedString(36),
    workspace_id    String,
    experiment_id   FixedString(36),
    dataset_item_id FixedString(36),
    trace_id        FixedString(36),
    created_at      DateTime64(9, 'UTC') DEFAULT now64(9),
    created_by      String DEFAULT '',
    last_updated_at DateTime64(9, 'UTC') DEFAULT now64(9),
    last_updated_by String DEFAULT ''
) ENGINE = ReplacingMergeTree(last_updated_at)
ORDER BY (workspace_id, experiment_id, dataset_item_id, trace_id, id);

CREATE TABLE optimizations (
    id              FixedString(36),
    workspace_id    String,
    dataset_id      FixedString(36),
    project_id      String DEFAULT '',
    name            String,
    objective_name  String,
    status          Enum8('unknown' = 0, 'running' = 1, 'completed' = 2, 'cancelled' = 3),
    metadata        String DEFAULT '',
    created_at      DateTime64(9, 'UTC') DEFAULT now64(9),
    created_by      String DEFAULT '',
    last_updated_at DateTime64(9, 'UTC') DEFAULT now64(9),
    last_updated_by String DEFAULT ''
) ENGINE = ReplacingMergeTree(last_updated_at)
ORDER BY (workspace_id, dataset_id, id);

-- down
DROP TABLE optimizations;
DROP TABLE experiment_items;
DROP TABLE experiments;
DROP TABLE dataset_items;
DROP TABLE traces;
