-- Takes back what servers on one database know of each other.
DROP TABLE open_stream;
DROP TABLE server_duty;
DROP TABLE server;
