-- Residents are found by any part of their name, by its pinyin and by its initials: the beginnings of what people type.
CREATE TABLE resident_token (
    facility_id BIGINT NOT NULL REFERENCES facility (id),
    token TEXT NOT NULL,
    -- No reference: a token whose resident is gone finds nobody, and half a million residents have four million tokens.
    resident_id BIGINT NOT NULL,
    PRIMARY KEY (facility_id, token, resident_id)
) WITHOUT ROWID;
-- Over many facilities at once.
CREATE INDEX resident_token_token ON resident_token (token, resident_id);

-- By which rules a name was taken apart; 0: not yet, which a timer makes good.
ALTER TABLE resident ADD COLUMN name_rules SMALLINT NOT NULL DEFAULT 0;
CREATE INDEX resident_name_rules ON resident (name_rules, id);
