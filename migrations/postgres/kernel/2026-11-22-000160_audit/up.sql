-- Who did what, to what, before and after, from where; and the seals over it.
CREATE SEQUENCE audit_id CACHE 1;

-- By month, so that years of it stay searchable; a month that was not made ahead lies in the default partition.
-- (epoch, xid, id) is the order in which rows became visible, as in event: a row that commits late is not passed over.
CREATE TABLE audit (
    id BIGINT NOT NULL DEFAULT nextval('audit_id'),
    epoch BIGINT NOT NULL,
    xid BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    at TIMESTAMP NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id BIGINT,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    facility_id BIGINT,
    person_id BIGINT,
    value_before TEXT,
    value_after TEXT,
    address TEXT,
    request_id TEXT,
    session TEXT,
    reason TEXT,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
ALTER SEQUENCE audit_id OWNED BY audit.id;
CREATE TABLE audit_default PARTITION OF audit DEFAULT;
CREATE INDEX audit_position ON audit (epoch, xid, id);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_actor ON audit (actor_id, at) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_facility ON audit (facility_id, at) WHERE facility_id IS NOT NULL;
CREATE INDEX audit_person ON audit (person_id, at) WHERE person_id IS NOT NULL;

-- One row for each batch of rows, each bound to the one before by its mac. listing: id and tag of each row of the batch;
-- emptied when the rows have had their time, which purge_mac shows to be Songhe's doing. Seals are never removed.
CREATE TABLE audit_seal (
    seq BIGINT PRIMARY KEY,
    key_id TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    xid BIGINT NOT NULL,
    last_id BIGINT NOT NULL,
    row_count INTEGER NOT NULL,
    newest_at TIMESTAMP NOT NULL,
    sealed_at TIMESTAMP NOT NULL,
    listing BYTEA,
    listing_hash TEXT NOT NULL,
    previous TEXT NOT NULL,
    mac TEXT NOT NULL,
    purged_at TIMESTAMP,
    purge_mac TEXT
);
CREATE INDEX audit_seal_open ON audit_seal (seq) WHERE purged_at IS NULL;
