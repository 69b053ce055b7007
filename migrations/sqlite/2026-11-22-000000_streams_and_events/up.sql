-- One row a stream: its identity, the last sequence number given, and its snapshot.
CREATE TABLE streams (
    id               INTEGER NOT NULL PRIMARY KEY,
    kind             TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    epoch            TEXT    NOT NULL,
    last_seq         BIGINT  NOT NULL,
    status           TEXT    NOT NULL,
    title            TEXT,
    phase            TEXT,
    speaker          TEXT,
    turn_count       BIGINT  NOT NULL,
    summary          TEXT,
    created_at       BIGINT  NOT NULL,
    last_activity_at BIGINT  NOT NULL,
    UNIQUE (kind, name)
);

-- Lists are read newest first, a kind at a time.
CREATE INDEX streams_by_kind ON streams (kind, id);

-- One row a durable event, its payload as it goes over the wire.
CREATE TABLE events (
    stream_id    BIGINT NOT NULL REFERENCES streams (id),
    seq          BIGINT NOT NULL,
    name         TEXT   NOT NULL,
    data         TEXT   NOT NULL,
    published_at BIGINT NOT NULL,
    PRIMARY KEY (stream_id, seq)
);
