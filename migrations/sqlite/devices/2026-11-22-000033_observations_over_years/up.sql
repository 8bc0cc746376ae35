-- Years of observations: three indexes instead of four, lists by the time of observation, roll-ups.
DROP INDEX observation_device;
DROP INDEX observation_resident;
DROP INDEX observation_facility;
ALTER TABLE observation RENAME TO observation_before;

-- seq numbers rows in the order of arrival; it is SQLite's own row number and costs no index. Uniqueness is the inbox's.
CREATE TABLE observation (
    seq INTEGER PRIMARY KEY NOT NULL,
    id BIGINT NOT NULL,
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
INSERT INTO observation (id, device_id, facility_id, place_id, resident_id, kind, value_micro, unit, active, quality,
    historical, detail, message_id, observed_at, received_at)
SELECT id, device_id, facility_id, place_id, resident_id, kind, value_micro, unit, active, quality,
    historical, detail, message_id, observed_at, received_at
FROM observation_before ORDER BY id;
DROP TABLE observation_before;

-- Lists are newest first, of one owner; each kind is one descent, so that a rare kind is found among millions.
CREATE INDEX observation_device ON observation (device_id, kind, observed_at);
CREATE INDEX observation_resident ON observation (resident_id, kind, observed_at) WHERE resident_id IS NOT NULL;
CREATE INDEX observation_facility ON observation (facility_id, kind, observed_at);

-- One row for each hour (day) of a device and kind in which something arrived; hours and days of the facility's zone.
-- n: good readings, of which sum, least, greatest and newest. other: readings of other quality. events: that began.
CREATE TABLE observation_hour (
    device_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    starts_at TIMESTAMP NOT NULL,
    n BIGINT NOT NULL,
    other BIGINT NOT NULL,
    events BIGINT NOT NULL,
    sum_micro DOUBLE PRECISION NOT NULL,
    min_micro BIGINT,
    max_micro BIGINT,
    last_micro BIGINT,
    last_at TIMESTAMP,
    PRIMARY KEY (device_id, kind, starts_at)
) WITHOUT ROWID;
CREATE TABLE observation_day (
    device_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    starts_at TIMESTAMP NOT NULL,
    n BIGINT NOT NULL,
    other BIGINT NOT NULL,
    events BIGINT NOT NULL,
    sum_micro DOUBLE PRECISION NOT NULL,
    min_micro BIGINT,
    max_micro BIGINT,
    last_micro BIGINT,
    last_at TIMESTAMP,
    PRIMARY KEY (device_id, kind, starts_at)
) WITHOUT ROWID;

-- How far the roll-ups are: rows up to this one are in them.
CREATE TABLE rollup_cursor (
    name TEXT PRIMARY KEY NOT NULL,
    seq BIGINT NOT NULL
);
INSERT INTO rollup_cursor (name, seq) VALUES ('observation', 0);
