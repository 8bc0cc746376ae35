-- Family care beds: whose home is looked after like a bed, and every emergency call from one with how it was answered.
CREATE TABLE care_bed (
    id BIGINT NOT NULL PRIMARY KEY,
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    resident_id BIGINT NOT NULL REFERENCES resident (id),
    -- The home.
    place_id BIGINT NOT NULL REFERENCES place (id),
    status TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'closed')),
    opened_on DATE NOT NULL,
    note TEXT,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX care_bed_facility ON care_bed (facility_id, id);
-- A resident has one bed at a time; closed ones stay for the record.
CREATE UNIQUE INDEX care_bed_open ON care_bed (resident_id) WHERE status <> 'closed';

-- Filled from the event log, one row for an incident: the evidence of the catalogue's function 紧急呼叫.
CREATE TABLE care_bed_call (
    incident_id BIGINT NOT NULL PRIMARY KEY REFERENCES incident (id),
    care_bed_id BIGINT NOT NULL REFERENCES care_bed (id),
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    kind TEXT NOT NULL,
    raised_at TIMESTAMP NOT NULL,
    -- Seconds from the call to the first answer, and to the first arrival.
    response_s BIGINT,
    on_site_s BIGINT,
    outcome TEXT,
    resolved_at TIMESTAMP,
    false_alarm BOOLEAN NOT NULL
);
CREATE INDEX care_bed_call_facility ON care_bed_call (facility_id, raised_at);
CREATE INDEX care_bed_call_bed ON care_bed_call (care_bed_id, raised_at);
