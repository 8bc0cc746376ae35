-- Drops the device tables.
DROP TABLE rule_state;
DROP TABLE threshold_rule;
DROP TABLE device_state;
DROP TABLE observation;
DROP TABLE quarantine;
DROP TABLE inbox;
DROP TABLE device_health;
DROP TABLE device_binding;
DROP TABLE device;
