CREATE TABLE inbox_old (
    device_id BIGINT NOT NULL,
    message_id TEXT NOT NULL,
    received_at TIMESTAMP NOT NULL,
    raw BYTEA,
    PRIMARY KEY (device_id, message_id)
);
INSERT INTO inbox_old (device_id, message_id, received_at, raw) SELECT device_id, message_id, received_at, raw FROM inbox;
DROP TABLE inbox;
ALTER TABLE inbox_old RENAME TO inbox;
CREATE INDEX inbox_received ON inbox (received_at) WHERE raw IS NULL;
