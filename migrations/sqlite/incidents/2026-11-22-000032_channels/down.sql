-- Drops message templates, and what endpoints other than webhooks are; those go, since nothing could serve them.
DROP TABLE message_template;
DELETE FROM webhook_endpoint WHERE kind <> 'webhook';
ALTER TABLE webhook_endpoint DROP COLUMN follow;
ALTER TABLE webhook_endpoint DROP COLUMN locale;
ALTER TABLE webhook_endpoint DROP COLUMN recipients;
ALTER TABLE webhook_endpoint DROP COLUMN settings;
ALTER TABLE webhook_endpoint DROP COLUMN kind;
