-- People and what they may do, edited while the server runs: rights of roles as rows, roles of one's own, one-time passwords, where sessions come from, and tokens for programs.
CREATE TABLE role (
    name TEXT NOT NULL PRIMARY KEY,
    -- Of a role that was added here; NULL: a built-in one of which something was changed.
    title TEXT,
    created_at TIMESTAMP NOT NULL
);

-- What differs from the defaults of the modules: a permission that is not named here follows its module, so that what a
-- new release brings reaches the roles it is meant for.
CREATE TABLE role_permission (
    role TEXT NOT NULL,
    permission TEXT NOT NULL,
    granted BOOLEAN NOT NULL,
    PRIMARY KEY (role, permission)
);

-- NULL: of an account made before.
ALTER TABLE app_user ADD COLUMN password_set_at TIMESTAMP;
-- A one-time password: it opens the door to choosing another one, until then.
ALTER TABLE app_user ADD COLUMN one_time_until TIMESTAMP;
ALTER TABLE app_user ADD COLUMN must_change BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE app_user ADD COLUMN signed_in_at TIMESTAMP;

ALTER TABLE session ADD COLUMN address TEXT;

CREATE TABLE api_token (
    id BIGINT NOT NULL PRIMARY KEY,
    -- SHA-256 of the token, in hex.
    token_hash TEXT NOT NULL UNIQUE,
    user_id BIGINT NOT NULL REFERENCES app_user (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- Names with spaces between them.
    permissions TEXT NOT NULL,
    -- NULL: wherever the owner has the permissions.
    facility_id BIGINT REFERENCES scope_node (id) ON DELETE CASCADE,
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    last_used_at TIMESTAMP,
    address TEXT
);
CREATE INDEX api_token_by_user ON api_token (user_id);
CREATE INDEX api_token_by_end ON api_token (expires_at);
CREATE INDEX api_token_by_facility ON api_token (facility_id);
