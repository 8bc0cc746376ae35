-- Drops the passwords in the form of external brokers; new credentials make them again.
DROP TABLE broker_account;
