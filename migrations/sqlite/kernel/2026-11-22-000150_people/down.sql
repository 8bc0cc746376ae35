-- Takes back what was edited of people and roles while the server ran.
DROP TABLE api_token;
ALTER TABLE session DROP COLUMN address;
ALTER TABLE app_user DROP COLUMN signed_in_at;
ALTER TABLE app_user DROP COLUMN must_change;
ALTER TABLE app_user DROP COLUMN one_time_until;
ALTER TABLE app_user DROP COLUMN password_set_at;
DROP TABLE role_permission;
DROP TABLE role;
