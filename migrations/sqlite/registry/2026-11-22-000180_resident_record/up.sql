-- The resident record: what care, meals and subsidies ask about a person; where they are and what they agreed to, as dated
-- facts whose history is kept; cards; a picture.
CREATE TABLE resident_profile (
    resident_id BIGINT NOT NULL PRIMARY KEY REFERENCES resident (id) ON DELETE CASCADE,
    -- Grows with each change: of two who edit at once, the second one is told.
    version INTEGER NOT NULL,
    -- Official codes of 6, 9 or 12 digits.
    household_region TEXT,
    residence_region TEXT,
    income_class TEXT,
    disability_kind TEXT,
    disability_grade SMALLINT CHECK (disability_grade BETWEEN 1 AND 4),
    living_situation TEXT,
    -- Codes with commas between them, in their order.
    allergens TEXT NOT NULL,
    diet_texture TEXT,
    -- IDDSI: the highest level of food, the lowest of drinks.
    food_level SMALLINT CHECK (food_level BETWEEN 3 AND 7),
    drink_level SMALLINT CHECK (drink_level BETWEEN 0 AND 4),
    diets TEXT NOT NULL,
    changed_at TIMESTAMP NOT NULL,
    changed_by BIGINT REFERENCES app_user (id) ON DELETE SET NULL
);

CREATE TABLE resident_status (
    id BIGINT NOT NULL PRIMARY KEY,
    resident_id BIGINT NOT NULL REFERENCES resident (id) ON DELETE CASCADE,
    status TEXT NOT NULL,
    from_at TIMESTAMP NOT NULL,
    -- The first moment at which it does not hold any more; NULL: until another fact begins.
    until_at TIMESTAMP,
    recorded_at TIMESTAMP NOT NULL,
    recorded_by BIGINT REFERENCES app_user (id) ON DELETE SET NULL,
    corrects BIGINT REFERENCES resident_status (id),
    -- Corrected or withdrawn: it stays, and does not count.
    superseded_at TIMESTAMP,
    superseded_by BIGINT REFERENCES app_user (id) ON DELETE SET NULL,
    CHECK (until_at > from_at)
);
CREATE INDEX resident_status_resident ON resident_status (resident_id, from_at);

CREATE TABLE resident_consent (
    id BIGINT NOT NULL PRIMARY KEY,
    resident_id BIGINT NOT NULL REFERENCES resident (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    given_at TIMESTAMP NOT NULL,
    given_by TEXT NOT NULL,
    guardian TEXT,
    evidence TEXT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    recorded_by BIGINT REFERENCES app_user (id) ON DELETE SET NULL,
    revoked_at TIMESTAMP,
    revoked_by TEXT,
    revocation_evidence TEXT,
    revocation_recorded_at TIMESTAMP,
    revocation_recorded_by BIGINT REFERENCES app_user (id) ON DELETE SET NULL,
    CHECK (revoked_at > given_at)
);
CREATE INDEX resident_consent_resident ON resident_consent (resident_id, kind);

CREATE TABLE resident_card (
    id BIGINT NOT NULL PRIMARY KEY,
    resident_id BIGINT NOT NULL REFERENCES resident (id) ON DELETE CASCADE,
    number TEXT NOT NULL,
    state TEXT NOT NULL,
    -- The number while somebody has the card or has lost it: it belongs to one resident at a time.
    held_number TEXT UNIQUE,
    issued_at TIMESTAMP NOT NULL,
    changed_at TIMESTAMP NOT NULL,
    changed_by BIGINT REFERENCES app_user (id) ON DELETE SET NULL
);
CREATE INDEX resident_card_resident ON resident_card (resident_id);

CREATE TABLE resident_photo (
    resident_id BIGINT NOT NULL PRIMARY KEY REFERENCES resident (id) ON DELETE CASCADE,
    media_type TEXT NOT NULL,
    bytes BLOB NOT NULL,
    changed_at TIMESTAMP NOT NULL
);
