-- Runs that have their terminal while the gateway may still be at them: they are to be stopped there.
ALTER TABLE runs ADD COLUMN lingers INTEGER NOT NULL DEFAULT 0 CHECK (lingers IN (0, 1));
CREATE INDEX runs_lingering ON runs (created, run) WHERE lingers = 1;
