-- Tests of emergency devices (weekly, at commissioning) with what was measured, how often they are due, and devices that need none.
CREATE TABLE device_test (
    id BIGINT PRIMARY KEY,
    device_id BIGINT NOT NULL REFERENCES device (id),
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    kind TEXT NOT NULL CHECK (kind IN ('weekly', 'commissioning')),
    expects TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'passed', 'missed', 'cancelled', 'real')),
    started_at TIMESTAMP NOT NULL,
    started_by BIGINT,
    ends_at TIMESTAMP NOT NULL,
    told TEXT,
    observed_at TIMESTAMP,
    received_at TIMESTAMP,
    done_at TIMESTAMP,
    shown_at TIMESTAMP
);
-- One at a time waits for a device: one press is taken for it, and no other.
CREATE UNIQUE INDEX device_test_waiting ON device_test (device_id) WHERE state = 'waiting';
CREATE INDEX device_test_device ON device_test (device_id, id);
CREATE INDEX device_test_facility ON device_test (facility_id, id);

CREATE TABLE device_test_plan (
    facility_id BIGINT PRIMARY KEY REFERENCES facility (id),
    interval_days INTEGER NOT NULL,
    window_seconds INTEGER NOT NULL
);

-- Devices of a safety class that call nobody: a door contact, a thermometer.
CREATE TABLE device_test_exempt (
    device_id BIGINT PRIMARY KEY REFERENCES device (id),
    exempt_by BIGINT NOT NULL,
    exempt_at TIMESTAMP NOT NULL
);
