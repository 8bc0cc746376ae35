-- The inbox is written with every message: one tree that is its own key, instead of a table and an index.
CREATE TABLE inbox_new (
    device_id BIGINT NOT NULL,
    message_id TEXT NOT NULL,
    received_at TIMESTAMP NOT NULL,
    raw BYTEA,
    PRIMARY KEY (device_id, message_id)
) WITHOUT ROWID;
INSERT INTO inbox_new (device_id, message_id, received_at, raw) SELECT device_id, message_id, received_at, raw FROM inbox;
DROP TABLE inbox;
ALTER TABLE inbox_new RENAME TO inbox;
CREATE INDEX inbox_received ON inbox (received_at) WHERE raw IS NULL;
