-- Takes back identity: accounts, roles, sessions, kept answers and the scope tree.
DROP TABLE idempotency;
DROP TABLE session;
DROP TABLE role_grant;
DROP TABLE app_user;
DROP TABLE scope_node;
