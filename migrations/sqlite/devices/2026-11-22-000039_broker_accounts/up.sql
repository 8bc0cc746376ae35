-- An external broker needs passwords in its own form, which can be made only while the secret is known.
CREATE TABLE broker_account (
    device_id BIGINT PRIMARY KEY REFERENCES device (id),
    -- PBKDF2-SHA512 as Mosquitto writes it: $7$rounds$salt$hash
    password TEXT NOT NULL
);
