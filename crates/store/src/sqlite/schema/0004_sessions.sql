-- Which run was led in which session, in the order of acceptance: `n` of a later row is higher than that of
-- every row that is still there. A session is known for as long as a run of it is kept.
CREATE TABLE session_runs (
    n INTEGER NOT NULL PRIMARY KEY,
    run TEXT NOT NULL UNIQUE REFERENCES runs (run) ON DELETE CASCADE,
    caller TEXT NOT NULL,
    dst TEXT NOT NULL,
    src TEXT NOT NULL,
    agent TEXT NOT NULL,
    session TEXT NOT NULL
) STRICT;
CREATE INDEX session_runs_session ON session_runs (caller, dst, src, session, n);
