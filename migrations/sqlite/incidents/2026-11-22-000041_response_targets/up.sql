-- What a facility means to reach when it answers calls, each change kept; an index for the rare lines of stories that reports count.
CREATE TABLE response_target (
    id BIGINT PRIMARY KEY,
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    set_at TIMESTAMP NOT NULL,
    set_by BIGINT NOT NULL,
    answer_seconds INTEGER NOT NULL,
    answer_per_mille INTEGER NOT NULL,
    last_seconds INTEGER NOT NULL,
    last_per_mille INTEGER NOT NULL,
    on_site_seconds INTEGER NOT NULL
);
CREATE INDEX response_target_facility ON response_target (facility_id, set_at);
CREATE INDEX incident_entry_trouble ON incident_entry (at) WHERE kind IN ('exhausted', 'delivery_failed');
