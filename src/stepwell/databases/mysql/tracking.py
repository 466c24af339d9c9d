"""The tables in which a database remembers its own schema."""

from __future__ import annotations

# Compared byte by byte (utf8mb4_bin), so that two versions are the same only if they are written the same.
MIGRATIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations (
  version VARCHAR(255) NOT NULL PRIMARY KEY,
  checksum VARCHAR(64) NOT NULL DEFAULT '',
  applied_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  applied_by VARCHAR(255) NOT NULL DEFAULT '',
  duration DOUBLE NOT NULL DEFAULT 0 COMMENT 'seconds',
  statements INT NOT NULL DEFAULT 0,
  tool VARCHAR(64) NOT NULL DEFAULT '',
  layout SMALLINT NOT NULL DEFAULT 1
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
"""

# MySQL gives TEXT columns no default, so evidence and note may be NULL.
JOURNAL = """
CREATE TABLE IF NOT EXISTS schema_migrations_journal (
  seq BIGINT NOT NULL PRIMARY KEY,
  at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  run VARCHAR(36) NOT NULL DEFAULT '',
  who VARCHAR(255) NOT NULL DEFAULT '',
  version VARCHAR(255) NOT NULL DEFAULT '',
  direction VARCHAR(4) NOT NULL DEFAULT '',
  position INT NOT NULL DEFAULT 0,
  event VARCHAR(32) NOT NULL DEFAULT '',
  checksum VARCHAR(64) NOT NULL DEFAULT '',
  tag VARCHAR(255) NOT NULL DEFAULT '',
  evidence MEDIUMTEXT,
  note MEDIUMTEXT
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
"""

TABLES = (MIGRATIONS.strip(), JOURNAL.strip())
