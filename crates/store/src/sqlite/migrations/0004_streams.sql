-- Streams that steps have returned, in pieces. `checksum` is the CRC-32 of the bytes.
CREATE TABLE stream_chunk (
    instance INTEGER NOT NULL,
    stream   INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    bytes    BLOB NOT NULL,
    PRIMARY KEY (instance, stream, number)
) STRICT;

-- Streams that are gone for everybody but the sweeper, which removes their pieces little by little: from the first number
-- to the last, both included.
CREATE TABLE dropped_stream (
    no       INTEGER PRIMARY KEY,
    instance INTEGER NOT NULL,
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL
) STRICT;
CREATE INDEX dropped_stream_of ON dropped_stream (instance);
