-- Back to a system that knows nobody.
DROP TABLE shift;
DROP TABLE staff;
DROP TABLE resident_contact;
DROP TABLE resident;
DROP TABLE place;
DROP TABLE facility;
