-- phase: expand

-- Where the versions of a dataset live. Nothing of 1.x reads these tables, so it keeps running beside them.

CREATE TABLE dataset_versions (
    id                 TEXT    NOT NULL PRIMARY KEY,
    workspace_id       TEXT    NOT NULL,
    dataset_id         TEXT    NOT NULL,
    version_hash       TEXT    NOT NULL,
    items_total        INTEGER NOT NULL DEFAULT 0, -- -1: not counted yet
    items_added        INTEGER NOT NULL DEFAULT 0,
    items_modified     INTEGER NOT NULL DEFAULT 0,
    items_deleted      INTEGER NOT NULL DEFAULT 0,
    change_description TEXT,
    metadata           TEXT CHECK (metadata IS NULL OR json_valid(metadata)),
    created_at         TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    created_by         TEXT    NOT NULL DEFAULT 'admin',
    last_updated_at    TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    last_updated_by    TEXT    NOT NULL DEFAULT 'admin',
    UNIQUE (workspace_id, dataset_id, version_hash)
);

CREATE TABLE dataset_version_tags (
    workspace_id    TEXT NOT NULL,
    dataset_id      TEXT NOT NULL,
    tag             TEXT NOT NULL,
    version_id      TEXT NOT NULL,
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    created_by      TEXT NOT NULL DEFAULT 'admin',
    last_updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    last_updated_by TEXT NOT NULL DEFAULT 'admin',
    PRIMARY KEY (workspace_id, dataset_id, tag)
);
CREATE INDEX dataset_version_tags_version ON dataset_version_tags (version_id);

-- down
DROP TABLE dataset_version_tags;
DROP TABLE dataset_versions;
