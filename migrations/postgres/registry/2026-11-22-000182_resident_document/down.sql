DROP TABLE resident_document;
