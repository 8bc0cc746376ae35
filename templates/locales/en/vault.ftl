# Sensitive fields: encryption, masking, looking at them
vault-erased = Erased
vault-error-erased = This person's data was erased on request; nothing more can be written
vault-damaged = Cannot be decrypted
vault-error-reason = Please say why, in at least 2 characters
vault-reason = Reason
vault-reason-hint = Who looked, when and why is recorded
vault-show-full = Show full number
vault-show = Show
vault-shown-once = Numbers are shown in full this once; that you looked is recorded
vault-error-key-in-use = This key is still in use and cannot be removed
