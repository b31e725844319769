-- The newest membership that each gateway showed. The envelope is judged anew whenever it is used: a
-- federation root that is not trusted any more vouches for nobody.
CREATE TABLE memberships (
    member TEXT NOT NULL PRIMARY KEY,
    federation TEXT NOT NULL,
    envelope TEXT NOT NULL,
    issued INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
