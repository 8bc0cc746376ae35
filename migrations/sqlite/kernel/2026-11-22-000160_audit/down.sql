-- Takes back the audit log and its seals.
DROP TABLE audit_seal;
DROP TABLE audit;
