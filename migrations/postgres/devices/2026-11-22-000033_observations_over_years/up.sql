-- Years of observations: partitions by month that can be dropped whole, three indexes instead of four, roll-ups.
DROP INDEX observation_device;
DROP INDEX observation_resident;
DROP INDEX observation_facility;
ALTER TABLE observation RENAME TO observation_before;

-- Numbers rows in the order of arrival. Never cached by a connection: the roll-ups follow it.
CREATE SEQUENCE observation_seq CACHE 1;

-- By the time of observation, since lists, charts and retention ask for that. A device whose clock is wrong writes into
-- the default partition. Uniqueness is the inbox's. kind compares as bytes: it is a name, and indexes are faster so.
CREATE TABLE observation (
    seq BIGINT NOT NULL DEFAULT nextval('observation_seq'),
    id BIGINT NOT NULL,
    device_id BIGINT NOT NULL,
    facility_id BIGINT NOT NULL,
    place_id BIGINT,
    resident_id BIGINT,
    kind TEXT COLLATE "C" NOT NULL,
    value_micro BIGINT,
    unit TEXT,
    active BOOLEAN,
    quality TEXT NOT NULL,
    historical BOOLEAN NOT NULL,
    detail TEXT,
    message_id TEXT NOT NULL,
    observed_at TIMESTAMP NOT NULL,
    received_at TIMESTAMP NOT NULL
) PARTITION BY RANGE (observed_at);
ALTER SEQUENCE observation_seq OWNED BY observation.seq;
CREATE TABLE observation_default PARTITION OF observation DEFAULT;

-- Lists are newest first, of one owner; each kind is one descent, so that a rare kind is found among millions.
CREATE INDEX observation_device ON observation (device_id, kind, observed_at);
CREATE INDEX observation_resident ON observation (resident_id, kind, observed_at) WHERE resident_id IS NOT NULL;
CREATE INDEX observation_facility ON observation (facility_id, kind, observed_at);
-- What arrived since the last roll-up: rows lie in that order, so block ranges do, at next to no cost.
CREATE INDEX observation_arrival ON observation USING brin (seq) WITH (pages_per_range = 32, autosummarize = on);

DO $$
DECLARE
    month TIMESTAMP;
BEGIN
    FOR month IN
        SELECT DISTINCT date_trunc('month', observed_at) FROM observation_before
        WHERE observed_at >= received_at - INTERVAL '2 years' AND observed_at < received_at + INTERVAL '2 months'
    LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF observation FOR VALUES FROM (%L) TO (%L)',
            'observation_' || to_char(month, 'YYYY_MM'), month, month + INTERVAL '1 month');
    END LOOP;
END $$;
INSERT INTO observation (id, device_id, facility_id, place_id, resident_id, kind, value_micro, unit, active, quality,
    historical, detail, message_id, observed_at, received_at)
SELECT id, device_id, facility_id, place_id, resident_id, kind, value_micro, unit, active, quality,
    historical, detail, message_id, observed_at, received_at
FROM observation_before ORDER BY id;
DROP TABLE observation_before;

-- One row for each hour (day) of a device and kind in which something arrived; hours and days of the facility's zone.
-- n: good readings, of which sum, least, greatest and newest. other: readings of other quality. events: that began.
CREATE TABLE observation_hour (
    device_id BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
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
);
CREATE TABLE observation_day (
    device_id BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
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
);

-- How far the roll-ups are: rows up to this one are in them.
CREATE TABLE rollup_cursor (
    name TEXT PRIMARY KEY,
    seq BIGINT NOT NULL
);
INSERT INTO rollup_cursor (name, seq) VALUES ('observation', 0);
