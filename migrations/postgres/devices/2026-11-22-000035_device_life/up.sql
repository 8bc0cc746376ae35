-- The register's whole life of a device: how long it may be silent, tests, loans, commands, decommissioning, faults.
ALTER TABLE device ADD COLUMN heartbeat TEXT NOT NULL DEFAULT 'guard';
-- How long it may be silent, in seconds: that of its heartbeat class at its facility.
ALTER TABLE device ADD COLUMN silence_s INTEGER NOT NULL DEFAULT 900;
-- active, maintenance or decommissioned.
ALTER TABLE device ADD COLUMN status TEXT NOT NULL DEFAULT 'active';
ALTER TABLE device ADD COLUMN status_reason TEXT;
ALTER TABLE device ADD COLUMN status_at TIMESTAMP;
ALTER TABLE device ADD COLUMN status_by BIGINT;
ALTER TABLE device ADD COLUMN commissioned_at TIMESTAMP;
-- Until when a commissioning test waits for the device's word: looked at with each message, which reads this row anyway.
ALTER TABLE device ADD COLUMN test_until TIMESTAMP;
-- The secret before the present one, as long as it counts.
ALTER TABLE device ADD COLUMN old_secret_hash TEXT;
ALTER TABLE device ADD COLUMN old_secret_until TIMESTAMP;
-- Connections made before are to be closed.
ALTER TABLE device ADD COLUMN secret_cut_at TIMESTAMP;
UPDATE device SET secret_cut_at = secret_at;
UPDATE device SET heartbeat = 'regular', silence_s = 7200 WHERE class IN ('1.1', '1.4', '5');
UPDATE device SET heartbeat = 'daily', silence_s = 90000 WHERE class IN ('1.2', '1.3', '2', '4', '6');

CREATE TABLE heartbeat_limit (
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    heartbeat TEXT NOT NULL,
    silence_s INTEGER NOT NULL,
    PRIMARY KEY (facility_id, heartbeat)
);

-- One row: when silence was looked for last, and since when Songhe has listened without a gap.
CREATE TABLE device_watch (
    id BIGINT PRIMARY KEY,
    swept_at TIMESTAMP NOT NULL,
    listening_since TIMESTAMP NOT NULL
);

-- Stands while a device is off line or its battery is low. group_key: told together with others, gw:<gateway> or many.
CREATE TABLE device_fault (
    device_id BIGINT NOT NULL REFERENCES device (id),
    kind TEXT NOT NULL,
    since TIMESTAMP NOT NULL,
    group_key TEXT,
    raised_at TIMESTAMP NOT NULL,
    grace_until TIMESTAMP,
    PRIMARY KEY (device_id, kind)
);

CREATE TABLE commission_test (
    id BIGINT PRIMARY KEY,
    device_id BIGINT NOT NULL REFERENCES device (id),
    wants_alarm BOOLEAN NOT NULL,
    started_at TIMESTAMP NOT NULL,
    until_at TIMESTAMP NOT NULL,
    started_by BIGINT,
    passed_at TIMESTAMP,
    heard TEXT,
    delay_ms BIGINT
);
CREATE INDEX commission_test_device ON commission_test (device_id, id);

CREATE TABLE device_loan (
    id BIGINT PRIMARY KEY,
    device_id BIGINT NOT NULL REFERENCES device (id),
    resident_id BIGINT NOT NULL REFERENCES resident (id),
    lent_at TIMESTAMP NOT NULL,
    lent_by BIGINT,
    due_on DATE NOT NULL,
    note TEXT NOT NULL,
    returned_at TIMESTAMP,
    returned_by BIGINT
);
CREATE INDEX device_loan_device ON device_loan (device_id, id);

-- state: requested, sent, acknowledged, failed or expired. expects: what tells that it was done, see commands.rs.
CREATE TABLE device_command (
    id BIGINT PRIMARY KEY,
    device_id BIGINT NOT NULL REFERENCES device (id),
    action TEXT NOT NULL,
    params TEXT NOT NULL,
    expects TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT,
    requested_at TIMESTAMP NOT NULL,
    requested_by BIGINT,
    valid_until TIMESTAMP NOT NULL,
    sent_at TIMESTAMP,
    done_at TIMESTAMP
);
CREATE INDEX device_command_device ON device_command (device_id, id);
