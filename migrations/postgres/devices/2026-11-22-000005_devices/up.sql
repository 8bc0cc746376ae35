-- Device register with binding history, inbox, quarantine, observations, latest states, threshold rules.
CREATE TABLE device (
    id BIGINT PRIMARY KEY,
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    serial TEXT NOT NULL UNIQUE,
    class TEXT NOT NULL,
    adapter TEXT NOT NULL,
    name TEXT NOT NULL,
    place_id BIGINT REFERENCES place (id),
    resident_id BIGINT REFERENCES resident (id),
    secret_hash TEXT,
    secret_at TIMESTAMP,
    enabled BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX device_facility ON device (facility_id, id);

-- Where a device was, and with whom, and when.
CREATE TABLE device_binding (
    id BIGINT PRIMARY KEY,
    device_id BIGINT NOT NULL REFERENCES device (id),
    place_id BIGINT REFERENCES place (id),
    resident_id BIGINT REFERENCES resident (id),
    bound_at TIMESTAMP NOT NULL,
    unbound_at TIMESTAMP,
    bound_by BIGINT
);
CREATE INDEX device_binding_device ON device_binding (device_id, bound_at);

CREATE TABLE device_health (
    device_id BIGINT PRIMARY KEY REFERENCES device (id),
    last_seen_at TIMESTAMP NOT NULL,
    online BOOLEAN,
    firmware TEXT
);

-- Every message that was acted on, once: the dedupe key is the device's own. raw is kept for emergencies.
CREATE TABLE inbox (
    device_id BIGINT NOT NULL,
    message_id TEXT NOT NULL,
    received_at TIMESTAMP NOT NULL,
    raw BYTEA,
    PRIMARY KEY (device_id, message_id)
);
-- For the purge, which leaves emergencies.
CREATE INDEX inbox_received ON inbox (received_at) WHERE raw IS NULL;

-- Messages that nobody may act on: of unknown devices, or not understood.
CREATE TABLE quarantine (
    id BIGINT PRIMARY KEY,
    source TEXT NOT NULL,
    serial TEXT,
    topic TEXT NOT NULL,
    payload BYTEA NOT NULL,
    payload_bytes INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    received_at TIMESTAMP NOT NULL
);
CREATE INDEX quarantine_serial ON quarantine (serial, id);

-- value_micro: the value in its canonical unit, times 10^6. active: of an event, whether it began or ended.
CREATE TABLE observation (
    id BIGINT PRIMARY KEY,
    device_id BIGINT NOT NULL,
    facility_id BIGINT NOT NULL,
    place_id BIGINT,
    resident_id BIGINT,
    kind TEXT NOT NULL,
    value_micro BIGINT,
    unit TEXT,
    active BOOLEAN,
    quality TEXT NOT NULL,
    historical BOOLEAN NOT NULL,
    detail TEXT,
    message_id TEXT NOT NULL,
    observed_at TIMESTAMP NOT NULL,
    received_at TIMESTAMP NOT NULL
);
-- Lists are newest first by arrival, which is the order of ids.
CREATE INDEX observation_device ON observation (device_id, id);
CREATE INDEX observation_resident ON observation (resident_id, id) WHERE resident_id IS NOT NULL;
CREATE INDEX observation_facility ON observation (facility_id, id);

CREATE TABLE device_state (
    device_id BIGINT NOT NULL REFERENCES device (id),
    kind TEXT NOT NULL,
    value_micro BIGINT,
    unit TEXT,
    active BOOLEAN,
    quality TEXT NOT NULL,
    observed_at TIMESTAMP NOT NULL,
    PRIMARY KEY (device_id, kind)
);

CREATE TABLE threshold_rule (
    id BIGINT PRIMARY KEY,
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    name TEXT NOT NULL,
    measure TEXT NOT NULL,
    above_micro BIGINT,
    below_micro BIGINT,
    hysteresis_micro BIGINT NOT NULL,
    onset_seconds INTEGER NOT NULL,
    priority TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    CHECK (above_micro IS NOT NULL OR below_micro IS NOT NULL)
);
CREATE INDEX threshold_rule_facility ON threshold_rule (facility_id, measure);

-- Written at edges only: a row stands while a device is beyond a rule's limit.
CREATE TABLE rule_state (
    rule_id BIGINT NOT NULL REFERENCES threshold_rule (id),
    device_id BIGINT NOT NULL REFERENCES device (id),
    since TIMESTAMP NOT NULL,
    observation TEXT NOT NULL,
    raised BOOLEAN NOT NULL,
    PRIMARY KEY (rule_id, device_id)
);
CREATE INDEX rule_state_device ON rule_state (device_id);
