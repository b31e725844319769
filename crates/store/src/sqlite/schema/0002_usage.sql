-- What peers' tenants spend: sums of a day, and how much of each run's usage stands in them.
ALTER TABLE runs ADD COLUMN booked_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN booked_cost INTEGER NOT NULL DEFAULT 0;

CREATE TABLE spent (
    caller TEXT NOT NULL,
    dst TEXT NOT NULL,
    src TEXT NOT NULL,
    day INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    cost_micro_usd INTEGER NOT NULL,
    PRIMARY KEY (caller, dst, src, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_day ON spent (day, caller, dst, src);
