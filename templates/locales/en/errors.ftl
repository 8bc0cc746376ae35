# Kernel: requests that cannot be read
error-query = A parameter of the address is wrong: { $reason }
error-form = The form cannot be read: { $reason }
error-json = The JSON is wrong: { $reason }
error-not-json = The body must be JSON (Content-Type: application/json).
error-body = The body did not arrive completely.
error-body-slow = The body arrived too slowly.
error-idempotency-key = An Idempotency-Key has 1 to { $max } characters.
error-not-utf8 = The request contains text that is not UTF-8.
error-nul = The request contains a NUL character, which cannot be stored.
