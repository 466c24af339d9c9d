-- The state of Opik 1.x on MySQL and MariaDB: what people name and configure.
-- Ids are UUIDv7 text made by the application; every row belongs to a workspace, which has no table of its own.

CREATE TABLE projects (
    id              CHAR(36)     NOT NULL PRIMARY KEY,
    workspace_id    VARCHAR(150) NOT NULL,
    name            VARCHAR(150) NOT NULL,
    description     VARCHAR(255),
    created_at      TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    created_by      VARCHAR(100) NOT NULL DEFAULT 'admin',
    last_updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    last_updated_by VARCHAR(100) NOT NULL DEFAULT 'admin',
    UNIQUE KEY projects_name (workspace_id, name)
) DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE datasets (
    id              CHAR(36)     NOT NULL PRIMARY KEY,
    workspace_id    VARCHAR(150) NOT NULL,
    name            VARCHAR(255) NOT NULL,
    description     VARCHAR(255),
    created_at      TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    created_by      VARCHAR(100) NOT NULL DEFAULT 'admin',
    last_updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    last_updated_by VARCHAR(100) NOT NULL DEFAULT 'admin',
    UNIQUE KEY datasets_name (workspace_id, name)
) DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE prompts (
    id              CHAR(36)     NOT NULL PRIMARY KEY,
    workspace_id    VARCHAR(150) NOT NULL,
    name            VARCHAR(255) NOT NULL,
    description     VARCHAR(255),
    created_at      TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    created_by      VARCHAR(100) NOT NULL DEFAULT 'admin',
    last_updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    last_updated_by VARCHAR(100) NOT NULL DEFAULT 'admin',
    UNIQUE KEY prompts_name (workspace_id, name)
) DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE prompt_versions (
    id              CHAR(36)     NOT NULL PRIMARY KEY,
    workspace_id    VARCHAR(150) NOT NULL,
    prompt_id       CHAR(36)     NOT NULL,
    `commit`        VARCHAR(8)   NOT NULL,
    template        MEDIUMTEXT   NOT NULL,
    created_at      TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    created_by      VARCHAR(100) NOT NULL DEFAULT 'admin',
    last_updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    last_updated_by VARCHAR(100) NOT NULL DEFAULT 'admin',
    UNIQUE KEY prompt_versions_commit (workspace_id, prompt_id, `commit`)
) DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE automation_rules (
    id              CHAR(36)          NOT NULL PRIMARY KEY,
    workspace_id    VARCHAR(150)      NOT NULL,
    project_id      CHAR(36),
    action          ENUM('evaluator') NOT NULL,
    sampling_rate   FLOAT             NOT NULL DEFAULT 1 CHECK (sampling_rate BETWEEN 0 AND 1),
    enabled         BOOLEAN           NOT NULL DEFAULT TRUE,
    created_at      TIMESTAMP(6)      NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    created_by      VARCHAR(100)      NOT NULL DEFAULT 'admin',
    last_updated_at TIMESTAMP(6)      NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    last_updated_by VARCHAR(100)      NOT NULL DEFAULT 'admin',
    KEY automation_rules_project (workspace_id, project_id, id)
) DEFAULT CHARACTER SET utf8mb4;

-- One evaluator a rule, under the rule's own id.
CREATE TABLE automation_rule_evaluators (
    id              CHAR(36)     NOT NULL PRIMARY KEY,
    workspace_id    VARCHAR(150) NOT NULL,
    type            ENUM('llm_as_judge', 'user_defined_metric_python',
                         'trace_thread_llm_as_judge', 'trace_thread_user_defined_metric_python') NOT NULL,
    code            JSON         NOT NULL,
    created_at      TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    created_by      VARCHAR(100) NOT NULL DEFAULT 'admin',
    last_updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    last_updated_by VARCHAR(100) NOT NULL DEFAULT 'admin'
) DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE automation_rule_projects (
    rule_id         CHAR(36)     NOT NULL,
    project_id      CHAR(36)     NOT NULL,
    workspace_id    VARCHAR(150) NOT NULL,
    created_at      TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    created_by      VARCHAR(100) NOT NULL DEFAULT 'admin',
    last_updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    last_updated_by VARCHAR(100) NOT NULL DEFAULT 'admin',
    PRIMARY KEY (rule_id, project_id)
) DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE webhooks (
    id              CHAR(36)     NOT NULL PRIMARY KEY,
    workspace_id    VARCHAR(150) NOT NULL,
    name            VARCHAR(255) NOT NULL,
    url             TEXT         NOT NULL,
    secret_token    VARCHAR(250),
    headers         JSON,
    created_at      TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    created_by      VARCHAR(100) NOT NULL DEFAULT 'admin',
    last_updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    last_updated_by VARCHAR(100) NOT NULL DEFAULT 'admin'
) DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE alerts (
    id              CHAR(36)     NOT NULL PRIMARY KEY,
    workspace_id    VARCHAR(150) NOT NULL,
    name            VARCHAR(255) NOT NULL,
    enabled         BOOLEAN      NOT NULL DEFAULT TRUE,
    webhook_id      CHAR(36)     NOT NULL,
    created_at      TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    created_by      VARCHAR(100) NOT NULL DEFAULT 'admin',
    last_updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    last_updated_by VARCHAR(100) NOT NULL DEFAULT 'admin',
    KEY alerts_workspace (workspace_id, id)
) DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE alert_triggers (
    id              CHAR(36)     NOT NULL PRIMARY KEY,
    workspace_id    VARCHAR(150) NOT NULL,
    alert_id        CHAR(36)     NOT NULL,
    event_type      ENUM('trace:errors', 'trace:feedback_score', 'trace_thread:feedback_score',
                         'prompt:created', 'prompt:committed', 'span:guardrails_triggered') NOT NULL,
    created_at      TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    created_by      VARCHAR(100) NOT NULL DEFAULT 'admin',
    last_updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    last_updated_by VARCHAR(100) NOT NULL DEFAULT 'admin',
    KEY alert_triggers_alert (alert_id)
) DEFAULT CHARACTER SET utf8mb4;

-- A 'scope:project' value is {"project_ids": "[\"<uuid>\", …]"}: a JSON list inside a JSON string.
CREATE TABLE alert_trigger_configs (
    id               CHAR(36)     NOT NULL PRIMARY KEY,
    workspace_id     VARCHAR(150) NOT NULL,
    alert_trigger_id CHAR(36)     NOT NULL,
    config_type      ENUM('scope:project', 'threshold:feedback_score') NOT NULL,
    config_value     JSON         NOT NULL,
    created_at       TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    created_by       VARCHAR(100) NOT NULL DEFAULT 'admin',
    last_updated_at  TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    last_updated_by  VARCHAR(100) NOT NULL DEFAULT 'admin',
    KEY alert_trigger_configs_trigger (alert_trigger_id)
) DEFAULT CHARACTER SET utf8mb4;

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
