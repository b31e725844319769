CREATE TABLE evidence (
    id TEXT NOT NULL PRIMARY KEY,
    peer TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('seals', 'accepts', 'statuses')),
    at INTEGER NOT NULL,
    run TEXT,
    file TEXT NOT NULL,
    sides TEXT NOT NULL CHECK (json_valid(sides))
) STRICT;
