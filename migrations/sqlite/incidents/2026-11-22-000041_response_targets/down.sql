-- Drops targets of answer times and the index for reports.
DROP INDEX incident_entry_trouble;
DROP TABLE response_target;
