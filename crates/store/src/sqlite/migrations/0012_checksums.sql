-- The CRC-32 of what is handed to user code as it is: large values, messages (the command, then the payload), and code. NULL for what was written before.
ALTER TABLE payload ADD COLUMN checksum INTEGER;
ALTER TABLE inbox ADD COLUMN checksum INTEGER;
ALTER TABLE script_module ADD COLUMN checksum INTEGER;
