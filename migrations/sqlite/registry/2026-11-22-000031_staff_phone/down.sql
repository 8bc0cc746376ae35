-- Drops the numbers of staff.
ALTER TABLE staff DROP COLUMN phone;
