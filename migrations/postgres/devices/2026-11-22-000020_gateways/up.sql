-- Gateways speak for many devices: whom they name, and which presses of a button are calls for help.
CREATE TABLE gateway (
    device_id BIGINT PRIMARY KEY REFERENCES device (id),
    -- Without the slash at the end.
    base_topic TEXT NOT NULL UNIQUE
);

-- The inventory as the gateway told it last. serial: what the device is known by for ever; name: what its topics call it.
CREATE TABLE gateway_member (
    gateway_id BIGINT NOT NULL REFERENCES gateway (device_id),
    serial TEXT NOT NULL,
    name TEXT NOT NULL,
    model TEXT NOT NULL,
    vendor TEXT NOT NULL,
    told_at TIMESTAMP NOT NULL,
    PRIMARY KEY (gateway_id, serial)
);
CREATE INDEX gateway_member_serial ON gateway_member (serial);

CREATE TABLE call_action (
    device_id BIGINT NOT NULL REFERENCES device (id),
    action TEXT NOT NULL,
    PRIMARY KEY (device_id, action)
);

-- What a broker had kept is looked at in another way when it can be understood at last.
ALTER TABLE quarantine ADD COLUMN retained BOOLEAN NOT NULL DEFAULT FALSE;
