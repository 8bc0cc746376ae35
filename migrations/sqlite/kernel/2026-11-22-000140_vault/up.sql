-- What encrypts sensitive fields: known master and index keys (never the keys), one wrapped key a person, blind indexes to search by.
CREATE TABLE vault_key (
    purpose TEXT NOT NULL CHECK (purpose IN ('master', 'index')),
    number SMALLINT NOT NULL,
    -- Tells this key from another of the same number; nothing can be made of it.
    proof BLOB NOT NULL,
    -- New keys are wrapped, new index rows are made, by the active one.
    active BOOLEAN NOT NULL,
    added_at TIMESTAMP NOT NULL,
    PRIMARY KEY (purpose, number)
);

-- kind and subject_id: whose it is, 'res' and the resident's id. Destroyed, wrapped is empty: what it sealed is lost for ever.
CREATE TABLE person_key (
    id BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    subject_id BIGINT NOT NULL,
    algorithm TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    master SMALLINT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    destroyed_at TIMESTAMP,
    UNIQUE (kind, subject_id)
);
CREATE INDEX person_key_master ON person_key (master, id) WHERE destroyed_at IS NULL;

-- digest: the first 64 bits of a keyed hash of a value, or of its last digits. row_id: the row whose field it is.
CREATE TABLE blind_index (
    key_id BIGINT NOT NULL,
    row_id BIGINT NOT NULL,
    field TEXT NOT NULL,
    part SMALLINT NOT NULL,
    number SMALLINT NOT NULL,
    digest BIGINT NOT NULL,
    PRIMARY KEY (key_id, row_id, field, part, number)
) WITHOUT ROWID;
CREATE INDEX blind_index_digest ON blind_index (digest, field, row_id);
