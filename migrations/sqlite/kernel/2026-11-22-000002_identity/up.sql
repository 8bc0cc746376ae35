-- Who may see and do what: the scope tree, accounts, roles held at a node of the tree, sessions, and answers kept under an idempotency key.
CREATE TABLE scope_node (
    id BIGINT NOT NULL PRIMARY KEY,
    parent_id BIGINT REFERENCES scope_node (id),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    -- '/1/5/': the ids from the root to this node. What lies below a node is what its path begins.
    path TEXT NOT NULL UNIQUE
);
CREATE INDEX scope_node_parent ON scope_node (parent_id);

CREATE TABLE app_user (
    id BIGINT NOT NULL PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    locale TEXT,
    disabled BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE role_grant (
    id BIGINT NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES app_user (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    -- NULL: the whole system.
    scope_id BIGINT REFERENCES scope_node (id) ON DELETE CASCADE
);
CREATE INDEX role_grant_user ON role_grant (user_id);
CREATE INDEX role_grant_scope ON role_grant (scope_id);

CREATE TABLE session (
    id BIGINT NOT NULL PRIMARY KEY,
    -- SHA-256 of the token, in hex: whoever reads this table can sign in as nobody.
    token_hash TEXT NOT NULL UNIQUE,
    user_id BIGINT NOT NULL REFERENCES app_user (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    csrf TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    last_seen_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    user_agent TEXT
);
CREATE INDEX session_by_user ON session (user_id);
CREATE INDEX session_by_end ON session (expires_at);

CREATE TABLE idempotency (
    -- Who asked for what: user, method, path.
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    -- The answer as JSON, written in the transaction that did the work.
    body TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_created ON idempotency (created_at);
