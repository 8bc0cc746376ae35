-- Drops tests of devices, their plans and exemptions.
DROP TABLE device_test_exempt;
DROP TABLE device_test_plan;
DROP TABLE device_test;
