-- What a token may be bound to, and how much of it there may be.
ALTER TABLE tokens ADD COLUMN tenants TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(tenants));
ALTER TABLE tokens ADD COLUMN sees TEXT NOT NULL DEFAULT 'own' CHECK (sees IN ('own', 'tenants'));
ALTER TABLE tokens ADD COLUMN runs_open_max INTEGER;
ALTER TABLE tokens ADD COLUMN starts_per_minute_max INTEGER;

-- A list of runs walks one of these from its newest end and stops when the page is full. Each ends in
-- the order of the list, so that nothing is sorted.
CREATE INDEX entries_gateway ON entries (gateway, created, run);
CREATE INDEX entries_token ON entries (token, created, run);
CREATE INDEX entries_src ON entries (src, created, run);
CREATE INDEX entries_outcome ON entries (outcome, created, run);
CREATE INDEX entries_open_token ON entries (token) WHERE phase <> 'settled';

-- Labels and what they sort by are written once, with the entry, and go with it.
CREATE TABLE entry_labels (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    created INTEGER NOT NULL,
    run TEXT NOT NULL REFERENCES entries (run) ON DELETE CASCADE,
    PRIMARY KEY (name, value, created, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_labels_run ON entry_labels (run);
INSERT INTO entry_labels (name, value, created, run)
    SELECT l.key, l.value, e.created, e.run FROM entries e, json_each(e.labels) l;

CREATE INDEX documents_status_at ON documents (at, gateway, version) WHERE kind = 'status';
