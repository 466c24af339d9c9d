-- lock-timeout: 2s

-- Every request looks its key up, so the index is built beside the traffic. A build that died leaves an invalid
-- index, which Stepwell removes before it builds again.

CREATE INDEX CONCURRENTLY api_key_live ON api_key (tenant_id, prefix) WHERE revoked_at IS NULL;

-- down
DROP INDEX CONCURRENTLY api_key_live;
