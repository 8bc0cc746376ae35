-- Takes back the keys and what is searched by them.
DROP TABLE blind_index;
DROP TABLE person_key;
DROP TABLE vault_key;
