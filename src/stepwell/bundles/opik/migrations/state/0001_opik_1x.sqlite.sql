-- The state of Opik 1.x on SQLite, for trying it out: what people name and configure.
-- Ids are UUIDv7 text made by the application; every row belongs to a workspace, which has no table of its own.
-- SQLite has no ON UPDATE: whoever changes a row sets last_updated_at.

CREATE TABLE projects (
    id              TEXT NOT NULL PRIMARY KEY,
    workspace_id    TEXT NOT NULL,
    name            TEXT NOT NULL,
    description     TEXT,
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    created_by      TEXT NOT NULL DEFAULT 'admin',
    last_updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    last_updated_by TEXT NOT NULL DEFAULT 'admin',
    UNIQUE (workspace_id, name)
);

CREATE TABLE datasets (
    id              TEXT NOT NULL PRIMARY KEY,
    workspace_id    TEXT NOT NULL,
    name            TEXT NOT NULL,
    description     TEXT,
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    created_by      TEXT NOT NULL DEFAULT 'admin',
    last_updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    last_updated_by TEXT NOT NULL DEFAULT 'admin',
    UNIQUE (workspace_id, name)
);

CREATE TABLE prompts (
    id              TEXT NOT NULL PRIMARY KEY,
    workspace_id    TEXT NOT NULL,
    name            TEXT NOT NULL,
    description     TEXT,
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    created_by      TEXT NOT NULL DEFAULT 'admin',
    last_updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    last_updated_by TEXT NOT NULL DEFAULT 'admin',
    UNIQUE (workspace_id, name)
);

CREATE TABLE prompt_versions (
    id              TEXT NOT NULL PRIMARY KEY,
    workspace_id    TEXT NOT NULL,
    prompt_id       TEXT NOT NULL,
    "commit"        TEXT NOT NULL,
    template        TEXT NOT NULL,
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    created_by      TEXT NOT NULL DEFAULT 'admin',
    last_updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    last_updated_by TEXT NOT NULL DEFAULT 'admin',
    UNIQUE (workspace_id, prompt_id, "commit")
);

CREATE TABLE automation_rules (
    id              TEXT NOT NULL PRIMARY KEY,
    workspace_id    TEXT NOT NULL,
    project_id      TEXT,
    action          TEXT NOT NULL CHECK (action IN ('evaluator')),
    sampling_rate   REAL NOT NULL DEFAULT 1 CHECK (sampling_rate BETWEEN 0 AND 1),
    enabled         BOOLEAN NOT NULL DEFAULT TRUE,
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    created_by      TEXT NOT NULL DEFAULT 'admin',
    last_updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    last_updated_by TEXT NOT NULL DEFAULT 'admin'
);
CREATE INDEX automation_rules_project ON automation_rules (workspace_id, project_id, id);

-- One evaluator a rule, under the rule's own id.
CREATE TABLE automation_rule_evaluators (
    id              TEXT NOT NULL PRIMARY KEY,
    workspace_id    TEXT NOT NULL,
    type            TEXT NOT NULL CHECK (type IN (
                        'llm_as_judge', 'user_defined_metric_python',
                        'trace_thread_llm_as_judge', 'trace_thread_user_defined_metric_python')),
    code            TEXT NOT NULL CHECK (json_valid(code)),
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    created_by      TEXT NOT NULL DEFAULT 'admin',
    last_updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    last_updated_by TEXT NOT NULL DEFAULT 'admin'
);

CREATE TABLE automation_rule_projects (
    rule_id         TEXT NOT NULL,
    project_id      TEXT NOT NULL,
    workspace_id    TEXT NOT NULL,
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    created_by      TEXT NOT NULL DEFAULT 'admin',
    last_updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    last_updated_by TEXT NOT NULL DEFAULT 'admin',
    PRIMARY KEY (rule_id, project_id)
);

CREATE TABLE webhooks (
    id              TEXT NOT NULL PRIMARY KEY,
    workspace_id    TEXT NOT NULL,
    name            TEXT NOT NULL,
    url             TEXT NOT NULL,
    secret_token    TEXT,
    headers         TEXT CHECK (headers IS NULL OR json_valid(headers)),
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    created_by      TEXT NOT NULL DEFAULT 'admin',
    last_updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    last_updated_by TEXT NOT NULL DEFAULT 'admin'
);

CREATE TABLE alerts (
    id              TEXT NOT NULL PRIMARY KEY,
    workspace_id    TEXT NOT NULL,
    name            TEXT NOT NULL,
    enabled         BOOLEAN NOT NULL DEFAULT TRUE,
    webhook_id      TEXT NOT NULL,
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    created_by      TEXT NOT NULL DEFAULT 'admin',
    last_updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    last_updated_by TEXT NOT NULL DEFAULT 'admin'
);
CREATE INDEX alerts_workspace ON alerts (workspace_id, id);

CREATE TABLE alert_triggers (
    id              TEXT NOT NULL PRIMARY KEY,
    workspace_id    TEXT NOT NULL,
    alert_id        TEXT NOT NULL,
    event_type      TEXT NOT NULL CHECK (event_type IN (
                        'trace:errors', 'trace:feedback_score', 'trace_thread:feedback_score',
                        'prompt:created', 'prompt:committed', 'span:guardrails_triggered')),
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    created_by      TEXT NOT NULL DEFAULT 'admin',
    last_updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    last_updated_by TEXT NOT NULL DEFAULT 'admin'
);
CREATE INDEX alert_triggers_alert ON alert_triggers (alert_id);

-- A 'scope:project' value is {"project_ids": "[\"<uuid>\", …]"}: a JSON list inside a JSON string.
CREATE TABLE alert_trigger_configs (
    id               TEXT NOT NULL PRIMARY KEY,
    workspace_id     TEXT NOT NULL,
    alert_trigger_id TEXT NOT NULL,
    config_type      TEXT NOT NULL CHECK (config_type IN ('scope:project', 'threshold:feedback_score')),
    config_value     TEXT NOT NULL CHECK (json_valid(config_value)),
    created_at       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    created_by       TEXT NOT NULL DEFAULT 'admin',
    last_updated_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    last_updated_by  TEXT NOT NULL DEFAULT 'admin'
);
CREATE INDEX alert_trigger_configs_trigger ON alert_trigger_configs (alert_trigger_id);

-- down
DROP TABLE alert_trigger_configs;
DROP TABLE alert_triggers;
DROP TABLE alerts;
DROP TABLE webhooks;
DROP TABLE automation_rule_projects;
DROP TABLE automation_rule_evaluators;
DROP TABLE automation_rules;
DROP TABLE prompt_versions;
DROP TABLE prompts;
DROP TABLE datasets;
DROP TABLE projects;
