-- Drops gateways, their inventories and the buttons' meanings.
ALTER TABLE quarantine DROP COLUMN retained;
DROP TABLE call_action;
DROP TABLE gateway_member;
DROP TABLE gateway;
