# Tests of devices
device-tests-error-none = Choose the devices to test.
device-tests-error-many = At most { $max } devices at a time: somebody has to press each of them within the time.
device-tests-error-disabled = “{ $name }” is switched off and cannot be tested.
device-tests-error-open = A call from “{ $name }” still waits. Deal with the call first, then test.
device-tests-error-range = Give a whole number from { $min } to { $max }.
device-tests-error-not-passed = No press was taken for this test, so it cannot become a call.
