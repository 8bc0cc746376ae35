-- Telephone numbers of residents, contacts and staff are sealed. The clear ones are moved at the first start and then stay empty.
ALTER TABLE resident ADD COLUMN phone_sealed BYTEA;
ALTER TABLE resident_contact ADD COLUMN phone_sealed BYTEA;
ALTER TABLE staff ADD COLUMN phone_sealed BYTEA;
-- What an earlier release still wrote in clear is found at once; nothing stands in these indexes otherwise.
CREATE INDEX resident_phone_clear ON resident (id) WHERE phone IS NOT NULL;
CREATE INDEX resident_contact_phone_clear ON resident_contact (id) WHERE phone IS NOT NULL;
CREATE INDEX staff_phone_clear ON staff (id) WHERE phone IS NOT NULL;
