-- What was published under which key, so that a repeated publish stores nothing and gets the first answer.
CREATE TABLE idempotency_keys (
    stream_id  BIGINT NOT NULL REFERENCES streams (id),
    name       TEXT   NOT NULL,
    digest     BLOB   NOT NULL,
    first_seq  BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (stream_id, name)
) WITHOUT ROWID;

-- Keys are forgotten by age.
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
