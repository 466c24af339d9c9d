-- Everything needed to run a model call once more. Large, so it goes after a month.

CREATE TABLE replay_capture (
    span_id     UUID,
    request     String CODEC(ZSTD(6)),
    response    String CODEC(ZSTD(6)),
    captured_at DateTime('UTC') DEFAULT now()
) ENGINE = MergeTree
ORDER BY span_id
TTL captured_at + INTERVAL 30 DAY;

ALTER TABLE span ADD COLUMN captured Bool DEFAULT false;

-- down
ALTER TABLE span DROP COLUMN captured;
DROP TABLE replay_capture;
