-- Who used an invite, so that the same gateway may ask again after a crash; and that a person withdrew it.
ALTER TABLE invites ADD COLUMN used_by TEXT;
ALTER TABLE invites ADD COLUMN withdrawn INTEGER;

-- By what either side of a pairing asks how it stands at the other. A pairing of before cannot be asked
-- about: no invite has this id.
ALTER TABLE pairings ADD COLUMN invite BLOB NOT NULL
    DEFAULT x'0000000000000000000000000000000000000000000000000000000000000000'
    CHECK (length(invite) = 32);
ALTER TABLE pairings ADD COLUMN proof BLOB NOT NULL
    DEFAULT x'0000000000000000000000000000000000000000000000000000000000000000'
    CHECK (length(proof) = 32);
