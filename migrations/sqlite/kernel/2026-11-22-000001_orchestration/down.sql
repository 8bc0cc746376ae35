-- Drops the orchestration tables.
DROP TABLE effect;
DROP TABLE timer;
DROP TABLE retry;
DROP TABLE subscription;
DROP TABLE event;
DROP TABLE module_enabled;
DROP TABLE server_lease;
DROP TABLE meta;
