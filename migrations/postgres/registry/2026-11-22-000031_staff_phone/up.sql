-- A text message or a voice call reaches members of staff by their own number.
ALTER TABLE staff ADD COLUMN phone TEXT;
