-- What evaluators and people think of a run. Scoring it again replaces the score.

CREATE TABLE eval_score (
    run_id    UUID,
    metric    LowCardinality(String),
    score     Float64,
    reason    String DEFAULT '',
    scored_by LowCardinality(String),
    scored_at DateTime64(6, 'UTC') DEFAULT now64(6)
) ENGINE = ReplacingMergeTree(scored_at)
ORDER BY (run_id, metric, scored_by);

-- Dashboards ask for the slowest calls by name.
ALTER TABLE span ADD PROJECTION by_name (SELECT name, duration, run_id ORDER BY name, duration);
-- lint: allow heavy-mutation because it reads two narrow columns, once
ALTER TABLE span MATERIALIZE PROJECTION by_name;

-- down
ALTER TABLE span DROP PROJECTION by_name;
DROP TABLE eval_score;
