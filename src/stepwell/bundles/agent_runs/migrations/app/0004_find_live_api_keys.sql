-- lock-timeout: 2s

-- Every request looks its key up, so the index is built beside the traffic. Stepwell removes and repeats a build that died.

CREATE INDEX CONCURRENTLY api_key_live ON api_key (tenant_id, prefix) WHERE revoked_at IS NULL;

-- down
DROP INDEX CONCURRENTLY api_key_live;
