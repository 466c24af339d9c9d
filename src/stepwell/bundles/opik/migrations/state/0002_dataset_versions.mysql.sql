-- phase: expand

-- Where the versions of a dataset live. Nothing of 1.x reads these tables, so it keeps running beside them.

CREATE TABLE dataset_versions (
    id                 CHAR(36)     NOT NULL PRIMARY KEY,
    workspace_id       VARCHAR(150) NOT NULL,
    dataset_id         CHAR(36)     NOT NULL,
    version_hash       VARCHAR(64)  NOT NULL,
    items_total        INT          NOT NULL DEFAULT 0 COMMENT '-1: not counted yet',
    items_added        INT          NOT NULL DEFAULT 0,
    items_modified     INT          NOT NULL DEFAULT 0,
    items_deleted      INT          NOT NULL DEFAULT 0,
    change_description TEXT,
    metadata           JSON,
    created_at         TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    created_by         VARCHAR(100) NOT NULL DEFAULT 'admin',
    last_updated_at    TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    last_updated_by    VARCHAR(100) NOT NULL DEFAULT 'admin',
    UNIQUE KEY dataset_versions_hash (workspace_id, dataset_id, version_hash)
) DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE dataset_version_tags (
    workspace_id    VARCHAR(150) NOT NULL,
    dataset_id      CHAR(36)     NOT NULL,
    tag             VARCHAR(100) NOT NULL,
    version_id      CHAR(36)     NOT NULL,
    created_at      TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    created_by      VARCHAR(100) NOT NULL DEFAULT 'admin',
    last_updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    last_updated_by VARCHAR(100) NOT NULL DEFAULT 'admin',
    PRIMARY KEY (workspace_id, dataset_id, tag),
    KEY dataset_version_tags_version (version_id)
) DEFAULT CHARACTER SET utf8mb4;

-- down
DROP TABLE dataset_version_tags;
DROP TABLE dataset_versions;
