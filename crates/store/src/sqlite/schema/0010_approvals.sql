-- Questions for operators, on either side. What may be long stands last, so that who looks at the other
-- columns reads no page of it.
CREATE TABLE approvals (
    id TEXT NOT NULL PRIMARY KEY,
    side TEXT NOT NULL CHECK (side IN ('relying', 'deciding')),
    tenant TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'approved', 'denied', 'expired', 'closed')),
    revision INTEGER NOT NULL,
    run TEXT,
    question TEXT,
    token TEXT,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    decided INTEGER,
    answer TEXT,
    asked TEXT NOT NULL CHECK (json_valid(asked)),
    decisions TEXT NOT NULL CHECK (json_valid(decisions)),
    subject TEXT NOT NULL
) STRICT;
CREATE INDEX approvals_created ON approvals (created, id);
CREATE INDEX approvals_open ON approvals (created, id) WHERE state = 'open';
CREATE INDEX approvals_decided ON approvals (decided, id) WHERE state <> 'open';
CREATE INDEX approvals_run ON approvals (run, created, id);

-- The newest catalog of each gateway's tenant, our own included.
CREATE TABLE catalogs (
    gateway TEXT NOT NULL,
    tenant TEXT NOT NULL,
    version INTEGER NOT NULL,
    envelope TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (gateway, tenant)
) STRICT;
