ALTER TABLE device_state RESET (fillfactor);
ALTER TABLE device_health RESET (fillfactor);
