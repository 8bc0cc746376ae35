DROP INDEX resident_name_rules;
ALTER TABLE resident DROP COLUMN name_rules;
DROP TABLE resident_token;
