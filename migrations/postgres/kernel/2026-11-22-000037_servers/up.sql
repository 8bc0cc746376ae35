-- Servers that share one database: who is alive, who takes device messages, and where pages are open. Used on PostgreSQL.
CREATE TABLE server (
    instance TEXT PRIMARY KEY,
    number SMALLINT NOT NULL,
    name TEXT NOT NULL,
    mqtt_session TEXT NOT NULL,
    started_ms BIGINT NOT NULL,
    beat_ms BIGINT NOT NULL
);

-- All times by the database's clock. The token grows with each holder: what an earlier one still does is refused.
CREATE TABLE server_duty (
    duty TEXT PRIMARY KEY,
    instance TEXT,
    number SMALLINT NOT NULL,
    token BIGINT NOT NULL,
    since_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL
);
INSERT INTO server_duty (duty, instance, number, token, since_ms, until_ms) VALUES ('ingest', NULL, 0, 0, 0, 0);

CREATE TABLE open_stream (
    stream TEXT NOT NULL,
    instance TEXT NOT NULL,
    user_id BIGINT NOT NULL,
    PRIMARY KEY (stream, instance)
);
CREATE INDEX open_stream_instance ON open_stream (instance);
