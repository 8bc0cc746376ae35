-- Who lives where and who is there to help: facilities, places with their tags, residents with their contacts, staff and rosters.
CREATE TABLE facility (
    -- The facility is a leaf of the scope tree and has its id.
    id BIGINT NOT NULL PRIMARY KEY REFERENCES scope_node (id),
    kind TEXT NOT NULL,
    -- The module that runs here: 'nursing-home', 'care-beds'.
    scenario TEXT NOT NULL,
    name TEXT NOT NULL,
    short_name TEXT NOT NULL,
    -- IANA name: rosters, ages and days are counted in it.
    zone TEXT NOT NULL,
    phone TEXT,
    address TEXT
);

CREATE TABLE place (
    id BIGINT NOT NULL PRIMARY KEY,
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    parent_id BIGINT REFERENCES place (id),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    -- As boards show it: '2号楼 305 室 · 2 床'.
    label TEXT NOT NULL,
    -- '/1/5/': the ids from the outermost place to this one. What lies within a place is what its path begins.
    path TEXT NOT NULL UNIQUE,
    -- 128 random bits in hex, the end of the URL on the QR or NFC tag.
    tag_code TEXT NOT NULL UNIQUE
);
CREATE INDEX place_facility ON place (facility_id, path);
CREATE INDEX place_parent ON place (parent_id);

-- Nothing here identifies a person officially: such fields arrive together with their encryption.
CREATE TABLE resident (
    id BIGINT NOT NULL PRIMARY KEY,
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    place_id BIGINT REFERENCES place (id),
    name TEXT NOT NULL,
    sex TEXT NOT NULL,
    birth_date DATE,
    -- GB/T 42195: 0 able … 4 completely dependent.
    ability_level SMALLINT CHECK (ability_level BETWEEN 0 AND 4),
    living_alone BOOLEAN NOT NULL,
    fall_risk_high BOOLEAN NOT NULL,
    phone TEXT,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX resident_facility ON resident (facility_id, id);
CREATE INDEX resident_place ON resident (place_id);

CREATE TABLE resident_contact (
    id BIGINT NOT NULL PRIMARY KEY,
    resident_id BIGINT NOT NULL REFERENCES resident (id) ON DELETE CASCADE,
    -- 1 is asked first.
    rank SMALLINT NOT NULL,
    name TEXT NOT NULL,
    relation TEXT NOT NULL,
    phone TEXT,
    user_id BIGINT REFERENCES app_user (id) ON DELETE SET NULL,
    UNIQUE (resident_id, rank)
);
CREATE INDEX resident_contact_user ON resident_contact (user_id);

CREATE TABLE staff (
    id BIGINT NOT NULL PRIMARY KEY,
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    user_id BIGINT REFERENCES app_user (id) ON DELETE SET NULL,
    name TEXT NOT NULL,
    job TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    -- One account is one person at a facility.
    UNIQUE (facility_id, user_id)
);
CREATE INDEX staff_user ON staff (user_id);

CREATE TABLE shift (
    id BIGINT NOT NULL PRIMARY KEY,
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    staff_id BIGINT NOT NULL REFERENCES staff (id),
    -- What the person is there for, which may be less than their job.
    duty TEXT NOT NULL,
    -- 早班, 夜班 …
    name TEXT NOT NULL,
    starts_at TIMESTAMP NOT NULL,
    -- The first moment that is not covered any more.
    ends_at TIMESTAMP NOT NULL,
    CHECK (ends_at > starts_at)
);
CREATE INDEX shift_facility ON shift (facility_id, ends_at);
CREATE INDEX shift_staff ON shift (staff_id, ends_at);
