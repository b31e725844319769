-- The chain's head after each step that appended frames: whoever attaches in the middle hashes from
-- there, and not from the first frame.
CREATE TABLE run_heads (
    run TEXT NOT NULL REFERENCES runs (run) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    head BLOB NOT NULL CHECK (length(head) = 32),
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
