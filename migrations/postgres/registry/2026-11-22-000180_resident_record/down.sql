DROP TABLE resident_photo;
DROP TABLE resident_card;
DROP TABLE resident_consent;
DROP TABLE resident_status;
DROP TABLE resident_profile;
