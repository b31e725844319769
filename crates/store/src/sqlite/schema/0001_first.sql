-- Mutable, small columns and immutable, large texts live in two tables, so that a run that gets one
-- more frame does not rewrite a request of a megabyte.
CREATE TABLE runs (
    run TEXT NOT NULL PRIMARY KEY,
    caller TEXT NOT NULL,
    dst TEXT NOT NULL,
    src TEXT NOT NULL,
    key TEXT NOT NULL,
    print BLOB NOT NULL CHECK (length(print) = 32),
    accept_digest BLOB NOT NULL CHECK (length(accept_digest) = 32),
    created INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('await_intent', 'running', 'settled')),
    intent TEXT,
    stop_reason TEXT,
    stop_at INTEGER,
    epoch INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    head BLOB NOT NULL CHECK (length(head) = 32),
    bytes INTEGER NOT NULL,
    outcome TEXT,
    ended INTEGER,
    CHECK ((stop_reason IS NULL) = (stop_at IS NULL))
) STRICT, WITHOUT ROWID;

-- A key is bound to the run that carries it: one row cannot contradict itself.
CREATE UNIQUE INDEX runs_key ON runs (caller, dst, src, key);
CREATE INDEX runs_open ON runs (created, run) WHERE phase <> 'settled';
CREATE INDEX runs_open_owner ON runs (caller, dst, src) WHERE phase <> 'settled';
CREATE INDEX runs_ended ON runs (ended, run) WHERE phase = 'settled';

CREATE TABLE run_texts (
    run TEXT NOT NULL PRIMARY KEY REFERENCES runs (run) ON DELETE CASCADE,
    request TEXT NOT NULL,
    accept TEXT NOT NULL,
    work TEXT NOT NULL,
    terms TEXT NOT NULL
) STRICT;

CREATE TABLE frames (
    run TEXT NOT NULL REFERENCES runs (run) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE blocked_keys (
    caller TEXT NOT NULL,
    dst TEXT NOT NULL,
    src TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (caller, dst, src, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX blocked_keys_at ON blocked_keys (at, caller, dst, src, key);

CREATE TABLE jtis (
    issuer TEXT NOT NULL,
    jti TEXT NOT NULL,
    keep_until INTEGER NOT NULL,
    PRIMARY KEY (issuer, jti)
) STRICT, WITHOUT ROWID;
CREATE INDEX jtis_keep_until ON jtis (keep_until, issuer, jti);

CREATE TABLE entries (
    run TEXT NOT NULL PRIMARY KEY,
    gateway TEXT NOT NULL,
    peer TEXT NOT NULL,
    dst TEXT NOT NULL,
    src TEXT NOT NULL,
    key TEXT NOT NULL,
    print BLOB NOT NULL CHECK (length(print) = 32),
    token TEXT,
    labels TEXT NOT NULL CHECK (json_valid(labels)),
    created INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('await_accept', 'streaming', 'settled')),
    revision INTEGER NOT NULL,
    remote TEXT,
    seq INTEGER NOT NULL,
    head BLOB CHECK (length(head) = 32),
    cancel INTEGER,
    cancel_answer TEXT,
    session TEXT,
    outcome TEXT,
    receipt TEXT,
    ended INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX entries_key ON entries (peer, dst, src, key);
CREATE INDEX entries_created ON entries (created, run);
CREATE INDEX entries_open ON entries (created, run) WHERE phase <> 'settled';
CREATE INDEX entries_ended ON entries (ended, run) WHERE phase = 'settled';

CREATE TABLE entry_texts (
    run TEXT NOT NULL PRIMARY KEY REFERENCES entries (run) ON DELETE CASCADE,
    body TEXT NOT NULL,
    request TEXT,
    accept TEXT
) STRICT;

CREATE TABLE received (
    run TEXT NOT NULL REFERENCES entries (run) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE received_seals (
    run TEXT NOT NULL REFERENCES entries (run) ON DELETE CASCADE,
    n INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    seal TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE documents (
    gateway TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('root', 'status', 'federation')),
    version INTEGER NOT NULL,
    envelope TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (gateway, kind, version)
) STRICT;

CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    name TEXT NOT NULL,
    routes TEXT NOT NULL CHECK (json_valid(routes)),
    verbs TEXT NOT NULL CHECK (json_valid(verbs)),
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE invites (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    secret TEXT NOT NULL,
    alias TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    used INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE pairings (
    peer TEXT NOT NULL PRIMARY KEY,
    alias TEXT NOT NULL,
    words TEXT NOT NULL,
    genesis BLOB NOT NULL CHECK (length(genesis) = 32),
    joined INTEGER NOT NULL CHECK (joined IN (0, 1)),
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE clock (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    now INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO clock (one, now) VALUES (1, 0);

CREATE TABLE audit (
    n INTEGER NOT NULL PRIMARY KEY,
    event TEXT NOT NULL,
    head BLOB NOT NULL CHECK (length(head) = 32)
) STRICT;
