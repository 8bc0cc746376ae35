-- Commissioning tests are tests of devices like the weekly ones: they move to device_test. Their former table stays as it is
-- for a server of the release before, and goes with a later release. One that still waited is over: the next press is a call.
INSERT INTO device_test (id, device_id, facility_id, kind, expects, state, started_at, started_by, ends_at, told, observed_at, received_at, done_at)
SELECT c.id, c.device_id, d.facility_id, 'commissioning',
    CASE WHEN c.wants_alarm THEN 'alarm' ELSE 'any' END,
    CASE WHEN c.passed_at IS NULL THEN 'missed' ELSE 'passed' END,
    c.started_at, c.started_by, c.until_at, c.heard,
    c.passed_at - c.delay_ms * INTERVAL '1 millisecond',
    c.passed_at, COALESCE(c.passed_at, c.until_at)
FROM commission_test c JOIN device d ON d.id = c.device_id
WHERE NOT EXISTS (SELECT 1 FROM device_test t WHERE t.id = c.id);
