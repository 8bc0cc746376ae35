-- The orchestration tables: event log with cursors, retries, timers, outgoing effects, server numbers.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE server_lease (
    number SMALLINT PRIMARY KEY,
    instance TEXT NOT NULL,
    leased_until_ms BIGINT NOT NULL
);

-- Which scenario runs at which facility. An event reaches a module only where it is on, and from that moment on.
CREATE TABLE module_enabled (
    module TEXT NOT NULL,
    facility_id BIGINT NOT NULL,
    enabled_at TIMESTAMP NOT NULL,
    PRIMARY KEY (module, facility_id)
);

CREATE TABLE event (
    seq BIGSERIAL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    xid BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    kind TEXT NOT NULL,
    version SMALLINT NOT NULL,
    facility_id BIGINT,
    subject TEXT NOT NULL,
    actor_id BIGINT,
    data TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX event_position ON event (epoch, xid, seq);

CREATE TABLE subscription (
    module TEXT PRIMARY KEY,
    epoch BIGINT NOT NULL,
    xid BIGINT NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE retry (
    id BIGINT PRIMARY KEY,
    module TEXT NOT NULL,
    event_seq BIGINT NOT NULL REFERENCES event (seq),
    subject TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_at TIMESTAMP NOT NULL,
    parked_at TIMESTAMP,
    error TEXT NOT NULL,
    UNIQUE (module, event_seq)
);
CREATE INDEX retry_subject ON retry (module, subject, id);

CREATE TABLE timer (
    key TEXT PRIMARY KEY,
    module TEXT NOT NULL,
    kind TEXT NOT NULL,
    facility_id BIGINT,
    data TEXT NOT NULL,
    due_at TIMESTAMP NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    parked_at TIMESTAMP,
    error TEXT
);
CREATE INDEX timer_due ON timer (due_at) WHERE parked_at IS NULL;

CREATE TABLE effect (
    id BIGINT PRIMARY KEY,
    module TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    facility_id BIGINT,
    target TEXT NOT NULL,
    payload TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('queued', 'delivered', 'failed', 'expired')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at TIMESTAMP NOT NULL,
    valid_until TIMESTAMP NOT NULL,
    leased_until_ms BIGINT NOT NULL DEFAULT 0,
    leased_by TEXT,
    error TEXT,
    created_at TIMESTAMP NOT NULL,
    done_at TIMESTAMP
);
CREATE INDEX effect_queued ON effect (next_at) WHERE status = 'queued';
CREATE INDEX effect_subject ON effect (subject);
