-- Who did what, to what, before and after, from where; and the seals over it.
-- AUTOINCREMENT: an id is never given twice, not even after the last rows are gone.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch BIGINT NOT NULL,
    xid BIGINT NOT NULL DEFAULT 0,
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
    reason TEXT
);
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
    listing BLOB,
    listing_hash TEXT NOT NULL,
    previous TEXT NOT NULL,
    mac TEXT NOT NULL,
    purged_at TIMESTAMP,
    purge_mac TEXT
);
CREATE INDEX audit_seal_open ON audit_seal (seq) WHERE purged_at IS NULL;
