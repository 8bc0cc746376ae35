-- Incidents with their story and ladder steps, ladders as data, webhook endpoints, live boards.
CREATE TABLE ladder (
    id BIGINT PRIMARY KEY,
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    scenario TEXT,
    priority TEXT NOT NULL CHECK (priority IN ('high', 'medium', 'low', 'info')),
    name TEXT NOT NULL,
    repeat_seconds INTEGER NOT NULL,
    active BOOLEAN NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE INDEX ladder_facility ON ladder (facility_id, priority);

CREATE TABLE ladder_rung (
    ladder_id BIGINT NOT NULL REFERENCES ladder (id),
    position INTEGER NOT NULL,
    after_seconds INTEGER NOT NULL,
    target TEXT NOT NULL,
    rank INTEGER,
    channel TEXT NOT NULL,
    PRIMARY KEY (ladder_id, position)
);

-- open_key: one open incident for a kind and a subject; NULL once resolved, so that the next call opens a new one.
CREATE TABLE incident (
    id BIGINT PRIMARY KEY,
    open_key TEXT UNIQUE,
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    scenario TEXT NOT NULL,
    kind TEXT NOT NULL,
    priority TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('raised', 'notified', 'acknowledged', 'on_site', 'resolved', 'reviewed')),
    place_id BIGINT REFERENCES place (id),
    place_label TEXT NOT NULL,
    resident_id BIGINT REFERENCES resident (id),
    device_id BIGINT,
    source TEXT NOT NULL,
    detail TEXT NOT NULL,
    cause TEXT,
    observed_at TIMESTAMP NOT NULL,
    raised_at TIMESTAMP NOT NULL,
    delayed_s BIGINT,
    presses INTEGER NOT NULL,
    last_signal_at TIMESTAMP NOT NULL,
    round INTEGER NOT NULL,
    repeats INTEGER NOT NULL,
    notified_at TIMESTAMP,
    acknowledged_at TIMESTAMP,
    acknowledged_by BIGINT,
    arrived_at TIMESTAMP,
    arrived_by BIGINT,
    resolved_at TIMESTAMP,
    resolved_by BIGINT,
    outcome TEXT,
    resolution TEXT,
    version INTEGER NOT NULL
);
CREATE INDEX incident_facility ON incident (facility_id, raised_at);
CREATE INDEX incident_place ON incident (place_id) WHERE open_key IS NOT NULL;
CREATE INDEX incident_resident ON incident (resident_id, raised_at);

CREATE TABLE incident_entry (
    id BIGINT PRIMARY KEY,
    incident_id BIGINT NOT NULL REFERENCES incident (id),
    at TIMESTAMP NOT NULL,
    kind TEXT NOT NULL,
    actor_id BIGINT,
    data TEXT NOT NULL
);
CREATE INDEX incident_entry_story ON incident_entry (incident_id, id);

-- The ladder as it was when the incident was raised: an edited ladder forgets none.
CREATE TABLE incident_rung (
    incident_id BIGINT NOT NULL REFERENCES incident (id),
    round INTEGER NOT NULL,
    position INTEGER NOT NULL,
    target TEXT NOT NULL,
    rank INTEGER,
    channel TEXT NOT NULL,
    due_at TIMESTAMP NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'sending', 'told', 'passed', 'stopped')),
    reason TEXT,
    done_at TIMESTAMP,
    who TEXT NOT NULL,
    effect_id BIGINT,
    PRIMARY KEY (incident_id, round, position)
);
CREATE INDEX incident_rung_effect ON incident_rung (effect_id) WHERE effect_id IS NOT NULL;

-- Where a facility's calls are posted: secret signs each request (HMAC-SHA256).
CREATE TABLE webhook_endpoint (
    id BIGINT PRIMARY KEY,
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    target TEXT NOT NULL,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    secret TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX webhook_endpoint_facility ON webhook_endpoint (facility_id, target);

-- Boards that are open now: a rung by board reaches somebody only through a live stream with its sound on.
CREATE TABLE board_stream (
    stream TEXT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    sound_on BOOLEAN NOT NULL,
    seen_at TIMESTAMP NOT NULL
);
CREATE INDEX board_stream_user ON board_stream (user_id);
