# Sensitive fields: encryption, masking, looking at them
vault-erased = Erased
vault-error-erased = This person's data was erased on request; nothing more can be written
vault-damaged = Cannot be decrypted
vault-error-reason = Please say why, in at least 2 characters
