-- Brings the tests that the release before keeps in a table of their own back there.
INSERT INTO commission_test (id, device_id, wants_alarm, started_at, until_at, started_by, passed_at, heard, delay_ms)
SELECT t.id, t.device_id, t.expects <> 'any', t.started_at, t.ends_at, t.started_by, t.received_at, t.told,
    (EXTRACT(EPOCH FROM t.received_at - t.observed_at) * 1000)::BIGINT
FROM device_test t
WHERE t.kind = 'commissioning' AND t.expects IN ('alarm', 'any') AND NOT EXISTS (SELECT 1 FROM commission_test c WHERE c.id = t.id);
DELETE FROM device_test WHERE kind = 'commissioning' AND expects IN ('alarm', 'any');
