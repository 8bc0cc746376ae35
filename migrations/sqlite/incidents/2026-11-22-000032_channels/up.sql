-- Calls leave by e-mail, group robots, text messages and voice calls as well, in words that each facility may choose.
ALTER TABLE webhook_endpoint ADD COLUMN kind TEXT NOT NULL DEFAULT 'webhook';
-- What only its kind needs, as JSON.
ALTER TABLE webhook_endpoint ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
-- Addresses or numbers, as a JSON list.
ALTER TABLE webhook_endpoint ADD COLUMN recipients TEXT NOT NULL DEFAULT '[]';
ALTER TABLE webhook_endpoint ADD COLUMN locale TEXT NOT NULL DEFAULT 'zh-CN';
-- Whether who was called is told as well when somebody has answered.
ALTER TABLE webhook_endpoint ADD COLUMN follow BOOLEAN NOT NULL DEFAULT FALSE;

-- The words of a facility; an occasion without a row has the built-in ones.
CREATE TABLE message_template (
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    locale TEXT NOT NULL,
    occasion TEXT NOT NULL,
    body TEXT NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (facility_id, locale, occasion)
);
