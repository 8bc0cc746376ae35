-- Drops the incident tables.
DROP TABLE board_stream;
DROP TABLE webhook_endpoint;
DROP TABLE incident_rung;
DROP TABLE incident_entry;
DROP TABLE incident;
DROP TABLE ladder_rung;
DROP TABLE ladder;
