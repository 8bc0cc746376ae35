-- The latest states change all the time: room in each page, so that a change stays in its page and touches no index.
ALTER TABLE device_state SET (fillfactor = 50);
ALTER TABLE device_health SET (fillfactor = 50);
