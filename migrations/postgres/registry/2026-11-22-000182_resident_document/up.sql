-- The identity document of a resident: its number is sealed under their key.
CREATE TABLE resident_document (
    -- The resident's.
    id BIGINT NOT NULL PRIMARY KEY REFERENCES resident (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    number_sealed BYTEA NOT NULL,
    changed_at TIMESTAMP NOT NULL,
    changed_by BIGINT REFERENCES app_user (id) ON DELETE SET NULL
);
