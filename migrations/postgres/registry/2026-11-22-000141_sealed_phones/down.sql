-- Takes back the sealed numbers: they cannot be made clear here.
DROP INDEX resident_phone_clear;
DROP INDEX resident_contact_phone_clear;
DROP INDEX staff_phone_clear;
ALTER TABLE staff DROP COLUMN phone_sealed;
ALTER TABLE resident_contact DROP COLUMN phone_sealed;
ALTER TABLE resident DROP COLUMN phone_sealed;
