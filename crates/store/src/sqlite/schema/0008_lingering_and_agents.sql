-- Runs that have their terminal while the gateway may still be at them: they are to be stopped there.
ALTER TABLE runs ADD COLUMN lingers INTEGER NOT NULL DEFAULT 0 CHECK (lingers IN (0, 1));
CREATE INDEX runs_lingering ON runs (created, run) WHERE lingers = 1;

-- The agent of a journal entry, which lists show: a page reads no body. Every body names one.
ALTER TABLE entries ADD COLUMN agent TEXT NOT NULL DEFAULT 'unknown';
UPDATE entries SET agent = coalesce(
    (SELECT json_extract(t.body, '$.agentTarget.agent') FROM entry_texts t
     WHERE t.run = entries.run AND json_valid(t.body)),
    agent);
