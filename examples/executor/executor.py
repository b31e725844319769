#!/usr/bin/env python3
"""A small executor of the Gateway Federation Protocol, written from `spec/` alone.

    executor.py init --listen 127.0.0.1:7543          keys, a root, a certificate
    executor.py serve                                 answers peers
    executor.py invite                                prints one line for the other side
    executor.py accept ALIAS --agent echo             shows the twelve words, then trusts and grants
    executor.py peer ALIAS active|suspended|revoked   what becomes of a peer

Its agent says the words of a prompt back; a prompt that ends with "slowly." is answered by nothing, for ever.
All that lasts is in `--home` (a SQLite database and two files of keys), and what was acknowledged was synced before.
"""

import argparse
import contextlib
import hmac
import itertools
import json
import os
import secrets
import signal
import sqlite3
import sys
import threading
import time

import identity
import wire
from server import Server
from wire import SKEW, Envelope, Key, Problem, Root, b64u, malformed, sha, unb64u, unverified

DAY = 86_400_000
BATCH_FRAMES_MAX, BATCH_BYTES_MAX, OUTPUT_TEXT_BYTES_MAX = 64, 524_288, 32_768
ROOT_STEPS_MAX, CHAIN_ROOTS_MAX, HELD_MAX, REVOCATIONS_KEPT_MAX = 32, 256, 3, 4096
DEADLINE, DEADLINE_MAX, KEY_WINDOW = 600_000, DAY, 7 * DAY
RUN_FRAMES_MAX, RUN_BYTES_MAX, TERMINAL_BYTES = 100_000, 268_435_456, 600
STATUS_LIFE, STATUS_REFRESH = 3_600_000, 1_800_000
ALIVE_SECONDS = 8
RUNS_MAX, REFUSALS_PER_MINUTE = 32, 60
SOFTWARE = "example executor 1"

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value);
CREATE TABLE IF NOT EXISTS own_status (seq INTEGER PRIMARY KEY, envelope BLOB);
CREATE TABLE IF NOT EXISTS audit (n INTEGER PRIMARY KEY, record TEXT, head BLOB);
CREATE TABLE IF NOT EXISTS invite (id TEXT PRIMARY KEY, secret BLOB, expires INTEGER, gid TEXT);
CREATE TABLE IF NOT EXISTS root (gid TEXT, version INTEGER, envelope BLOB, PRIMARY KEY (gid, version));
CREATE TABLE IF NOT EXISTS status (gid TEXT, digest BLOB, seq INTEGER, n INTEGER, root_version INTEGER, era INTEGER,
  envelope BLOB, PRIMARY KEY (gid, digest));
CREATE TABLE IF NOT EXISTS revoked (gid TEXT, kid TEXT, since INTEGER, PRIMARY KEY (gid, kid));
CREATE TABLE IF NOT EXISTS quarantine (gid TEXT PRIMARY KEY, evidence BLOB);
CREATE TABLE IF NOT EXISTS jti (gid TEXT, jti TEXT, exp INTEGER, PRIMARY KEY (gid, jti));
CREATE TABLE IF NOT EXISTS run (n INTEGER PRIMARY KEY, run TEXT UNIQUE, gid TEXT, src TEXT, dst TEXT, accept BLOB, body BLOB,
  deadline INTEGER, frames_max INTEGER, bytes_max INTEGER, disclose TEXT, session TEXT, known INTEGER DEFAULT 0,
  called INTEGER DEFAULT 0, reason TEXT, seq INTEGER DEFAULT 0, bytes INTEGER DEFAULT 0, head BLOB, outcome TEXT, ended INTEGER);
CREATE TABLE IF NOT EXISTS key (gid TEXT, src TEXT, dst TEXT, key TEXT, print TEXT, run TEXT, blocked INTEGER,
  PRIMARY KEY (gid, src, dst, key));
CREATE TABLE IF NOT EXISTS frame (run TEXT, seq INTEGER, bytes BLOB, head BLOB, PRIMARY KEY (run, seq)) WITHOUT ROWID;
"""


def agent(prompt):
    """The scripted agent: pieces of its answer, and how many seconds each takes. It has no tools and no effects."""
    if prompt.endswith("slowly."):
        yield float("inf"), ""
    words = prompt.split()
    step = max(1, -(-len(words) // 8))
    for at in range(0, len(words), step):
        yield 0.03, " ".join(words[at:at + step]) + " "


def pieces(text):
    """A text in parts of at most OUTPUT_TEXT_BYTES_MAX, cut between characters (STR-31)."""
    raw = text.encode()
    while raw:
        part = raw[:OUTPUT_TEXT_BYTES_MAX].decode(errors="ignore")
        yield part
        raw = raw[len(part.encode()):]


class Store:
    """SQLite, one connection, one lock. The lock is also what everybody waits with for news."""

    def __init__(self, home):
        self.db = sqlite3.connect(os.path.join(home, "executor.db"), check_same_thread=False, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000;" + SCHEMA)
        self.lock = threading.RLock()
        self.news = threading.Condition(self.lock)

    @contextlib.contextmanager
    def tx(self):
        """A transaction. It is synced when this block has been left, and only then may anybody be told."""
        with self.lock:
            if self.db.in_transaction:  # ours, since we hold the lock: this is a part of it
                yield self.db
                return
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
            self.news.notify_all()

    def all(self, query, *values):
        with self.lock:
            return self.db.execute(query, values).fetchall()

    def one(self, query, *values):
        return next(iter(self.all(query, *values)), None)

    def meta(self, name):
        row = self.one("SELECT value FROM meta WHERE name = ?", name)
        return row and row["value"]

    def put(self, **values):
        self.db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))

    def audit(self, record):
        """Appends to a chain of digests, inside of the caller's transaction. Statuses publish its head."""
        size, head = self.audit_head()
        self.db.execute("INSERT INTO audit VALUES (?, ?, ?)", (size + 1, record, sha(b"audit\n", head, record.encode())))

    def audit_head(self):
        row = self.one("SELECT n, head FROM audit ORDER BY n DESC LIMIT 1")
        return (row["n"], row["head"]) if row else (0, sha(b"audit\n"))


class Executor:
    def __init__(self, home):
        self.home, self.store = home, Store(home)
        self.root = Root(Envelope(json.loads(self.store.meta("root"))))
        self.gid, self.version = wire.gateway_id(self.root.digest), self.root.version
        with open(os.path.join(home, "online.json"), encoding="utf-8") as file:
            self.keys = {role: Key(bytes.fromhex(seed)) for role, seed in json.load(file).items()}
        self.latest = self.store.meta("clock") or 0
        self.draining, self.peers_read, self.chains, self.counted, self.refused = False, (None, {}), {}, {}, {}

    def now(self):
        """The clock, which never goes back, not over a restart either."""
        self.latest = max(self.latest, int(time.time() * 1000))
        return self.latest

    def sign(self, kind, **members):
        role = wire.ROLES[kind]
        return wire.sign(kind, {**members, "iss": self.gid, "root_version": self.version, "v": 1} if kind != "seal" else
                         {**members, "root_version": self.version, "v": 1}, self.keys[role])

    # What is trusted.

    def peers(self):
        """The peers of the federation document, by id: ours by our own role `policy`, or nobody (ID-27)."""
        said = self.store.meta("federation")
        if self.peers_read[0] != said:
            envelope = Envelope(json.loads(said)).expect("federation")
            envelope.verify(self.root.keys("policy"), self.root.threshold("policy"), self.now())
            doc = wire.read(envelope.payload)
            if doc["iss"] != self.gid:
                raise unverified("a federation document of another gateway")
            self.peers_read = said, {peer["gid"]: peer for peer in doc["peers"]}
        return self.peers_read[1]

    def chain(self, gid):
        """The roots on record, each of which was verified before it was put there."""
        rows = self.store.all("SELECT envelope FROM root WHERE gid = ? ORDER BY version", gid)
        if gid not in self.chains or len(self.chains[gid]) != len(rows):
            self.chains[gid] = [Root(Envelope(json.loads(row["envelope"]))) for row in rows]
        return self.chains[gid]

    def revoked(self, gid):
        return {row["kid"] for row in self.store.all("SELECT kid FROM revoked WHERE gid = ?", gid)}

    def take_roots(self, gid, envelopes, most):
        """Step 6. Verifies roots one after the other and keeps those that hold (ID-4 to ID-12, ID-81)."""
        if len(envelopes) > most:
            raise Problem("too_large", "roots")
        chain, good, wrong = self.chain(gid), [], None
        for envelope in envelopes:
            try:
                root = Root(envelope)
                if root.version <= len(chain) and chain[root.version - 1].digest == root.digest:
                    continue  # we have this very one
                before = ([*chain, *good] or [None])[-1]
                good.append(root.check(before, gid, self.now()))
            except Problem as problem:
                wrong = problem
                break
        if good:
            with self.store.tx() as db:
                db.executemany("INSERT INTO root VALUES (?, ?, ?)", [(gid, root.version, root.envelope.text) for root in good])
        if wrong:
            raise wrong

    def take_status(self, gid, envelope, lowest):
        """Step 7. The newest root's keys, then form, root, freshness, monotony (ID-15 to ID-20); gives the root."""
        chain, now = self.chain(gid), self.now()
        top, have = chain[-1], len(chain)
        if have < lowest:
            raise Problem("root_unknown", have=have)  # ID-31
        if top.doc["expires"] <= now:
            raise unverified("the newest root expired")  # ID-9
        envelope.verify(top.keys("status"), top.threshold("status"), now, self.revoked(gid))
        said = wire.read_status(envelope.payload)
        if said["iss"] != gid:
            raise unverified("a status of another gateway")
        if said["root_version"] > have:
            raise Problem("root_unknown", have=have)
        if said["root"] != b64u(chain[said["root_version"] - 1].digest) or said["seq"] > now + SKEW:
            raise unverified("a status of another root, or of the future")
        if said["expires"] <= now:
            raise Problem("status_stale", "expired")
        with self.store.tx() as db:
            # The numbering of statuses begins anew with a root that changed their keys (ID-20).
            era = max(r.version for i, r in enumerate(chain) if i == 0 or set(r.keys("status")) != set(chain[i - 1].keys("status")))
            known = self.store.all("SELECT * FROM status WHERE gid = ?", gid)
            if any(row["digest"] == envelope.digest for row in known) and said["seq"] == max(row["seq"] for row in known):
                return top
            counted = [row for row in known if row["era"] == era or said["root_version"] < era]
            twin = next((row for row in counted if row["seq"] == said["seq"] and row["digest"] != envelope.digest), None)
            if twin:
                db.execute("INSERT OR IGNORE INTO quarantine VALUES (?, ?)", (gid, self.evidence(gid, twin["envelope"], envelope)))
                self.store.audit(f"equivocation {gid}")
            elif (any(row["n"] > said["incarnation"]["n"] or row["root_version"] > said["root_version"] for row in known)
                    or any(row["seq"] > said["seq"] for row in counted)):
                raise Problem("status_stale", "older than one before")  # ID-18
            else:
                mine = {kid for root in chain for kid in root.doc["keys"]}
                gone = self.revoked(gid) | {one["kid"] for one in said["revoked"]}
                if len(gone - mine) > REVOCATIONS_KEPT_MAX:
                    raise unverified("too many revocations")  # ID-82
                db.execute("INSERT OR IGNORE INTO status VALUES (?, ?, ?, ?, ?, ?, ?)", (
                    gid, envelope.digest, said["seq"], said["incarnation"]["n"], said["root_version"], era, envelope.text))
                db.executemany("INSERT OR IGNORE INTO revoked VALUES (?, ?, ?)",
                               [(gid, one["kid"], one["since"]) for one in said["revoked"]])
        if twin:
            raise unverified("two statuses with one number")  # ID-19; no clause names a code
        return top

    def evidence(self, gid, first, second):
        """What `evidence.md` says of two statuses with one number, kept with the quarantine (STR-47)."""
        lines = [{"gateway": gid, "kind": "statuses", "type": "evidence", "v": 1}]
        lines += [{"type": "root", "value": root.envelope.value} for root in self.chain(gid)]
        lines += [{"type": "said", "value": json.loads(first)}, {"type": "said", "value": second.value}]
        return b"".join(wire.write(line) + b"\n" for line in lines)

    # What is said of ourselves.

    def incarnation(self):
        return {"n": self.store.meta("incarnation"), "since": self.store.meta("since")}

    def issue_status(self):
        """A new status, durable before anybody sees it (ID-44)."""
        with self.store.tx() as db:
            last = db.execute("SELECT max(seq) FROM own_status").fetchone()[0] or 0
            size, head = self.store.audit_head()
            at = max(self.now(), last + 1)
            status = wire.sign("status", {
                "audit": {"head": b64u(head), "size": size}, "expires": at + STATUS_LIFE, "incarnation": self.incarnation(),
                "iss": self.gid, "issued": at, "refresh_ms": STATUS_REFRESH, "revoked": [], "root": b64u(self.root.digest),
                "root_version": self.version, "seq": at, "v": 1}, self.keys["status"])
            db.execute("INSERT INTO own_status VALUES (?, ?)", (at, status.text))
            self.store.put(clock=at)

    def status(self):
        return self.store.one("SELECT * FROM own_status ORDER BY seq DESC LIMIT 1")

    def document(self, path):
        """A `GET`: one of our roots or statuses, or the newest status that we have of a peer (ID-13, ID-46)."""
        if path in (["root"], ["root", str(self.version)]):
            return self.root.envelope.text
        if path == ["status"]:
            return self.status()["envelope"]
        if len(path) == 3 and path[0] == "status" and path[2].isascii() and path[2].isdigit() and len(path[2]) < 17:
            row = self.store.one("SELECT envelope FROM status WHERE gid = ? AND seq <= ? ORDER BY seq DESC LIMIT 1",
                                 path[1], int(path[2]))
            if row and str(int(path[2])) == path[2]:
                return row["envelope"]
        raise Problem("not_found")

    # The order of checks (request.md).

    def authenticate(self, data):
        """Steps 3 to 10. Until they have passed nobody is told more than an unsigned code."""
        roots, status, request, held = wire.read_operation(data)
        for envelope in roots:
            envelope.expect("root")
        status.expect("status"), request.expect("request")
        gid = wire.issuer(status)
        peer = self.peers().get(gid) if isinstance(gid, str) else None
        if peer is None:
            raise unverified("not a peer")
        self.take_roots(gid, roots, ROOT_STEPS_MAX)
        top = self.take_status(gid, status, peer["min_root_version"])
        request.verify(top.keys("request"), top.threshold("request"), self.now(), self.revoked(gid))
        said = wire.read_request(request.payload)
        if said["iss"] != gid or said["aud"] != self.gid:
            raise unverified("not from that peer, or not for us")
        return Asked(gid, said, request, held)

    def admit(self, asked, op):
        """Steps 11 to 16: refusals are signed from here on."""
        said, now, pair = asked.said, self.now(), (asked.gid, asked.src, asked.dst)
        if said["op"] != op:
            raise malformed("another route's op")
        cause = self.cause(asked)
        if cause not in (None, "draining", "rolled_back"):  # these two have steps of their own
            raise Problem(cause)
        if self.grant(asked) is None and not self.store.one("SELECT 1 FROM key WHERE gid = ? AND src = ? AND dst = ?", *pair):
            raise Problem("not_granted", "no grant of this tenant pair")
        if not 1 <= said["exp"] - said["iat"] <= wire.REQUEST_LIFE_MAX:
            raise malformed("a request's life")
        if said["iat"] > now + SKEW or said["exp"] < now - SKEW:
            raise Problem("clock_skew")
        if 1 not in said["proto"] or max(said["proto"]) < self.root.doc["min_proto"]:
            raise Problem("protocol_unsupported")
        self.look_back(asked)

    def look_back(self, asked):
        """Step 16: whether the peer saw something of ours that we forgot (ID-41, ID-42)."""
        seen, mine = asked.said["seen"], self.incarnation()
        if len(asked.held) > HELD_MAX:
            raise Problem("too_large", "held")
        for envelope in asked.held:
            if envelope.kind in ("status", "accept", "seal") and self.forgot(envelope, asked.gid):
                with self.store.tx():
                    self.store.put(rolled_back=1)
        oldest = self.store.one("SELECT min(seq) AS seq FROM own_status")["seq"]
        if self.store.meta("rolled_back"):
            raise Problem("rolled_back")
        if seen["seq"] and (seen["n"] > mine["n"] or seen["n"] == mine["n"] and seen["seq"] >= oldest
                            and not self.store.one("SELECT 1 FROM own_status WHERE seq = ?", seen["seq"])):
            raise Problem("rolled_back", "seen is not ours")

    def forgot(self, envelope, gid):
        """Whether an envelope that we signed in this incarnation, and would remember, is not in our store."""
        role, since = wire.ROLES[envelope.kind], self.store.meta("since")
        try:
            envelope.verify(self.root.keys(role), self.root.threshold(role), self.now())
        except Problem:
            return False
        said = wire.read(envelope.payload)
        if envelope.kind == "status":
            return (said["incarnation"]["n"] >= self.store.meta("incarnation")
                    and not self.store.one("SELECT 1 FROM own_status WHERE seq = ?", said["seq"]))
        run = self.store.one("SELECT * FROM run WHERE run = ?", said["run"])
        if envelope.kind == "accept":  # an accept has no time of its own: it is at most DEADLINE_MAX before its deadline
            fresh = said["deadline"] > self.now() - KEY_WINDOW + DEADLINE_MAX and said["deadline"] > since + DEADLINE_MAX
            return said["aud"] == gid and fresh and run is None
        head = self.store.one("SELECT head FROM frame WHERE run = ? AND seq = ?", said["run"], said["seq"])
        return run is not None and said["seq"] > 0 and (head is None or b64u(head["head"]) != said["head"])

    def cause(self, asked):
        """Why a peer gets nothing now; asked at each operation and, while a stream is open, each second."""
        peer = self.peers().get(asked.gid)
        if self.store.meta("rolled_back"):
            return "rolled_back"
        if peer is None or peer["status"] == "revoked":
            return "peer_revoked"
        if peer["status"] != "active" or self.store.one("SELECT 1 FROM quarantine WHERE gid = ?", asked.gid):
            return "peer_suspended"
        if self.revoked(asked.gid) & {kid for kid, _ in asked.request.signatures}:
            return "verification_failed"  # ID-66
        return "draining" if self.draining else None

    def grant(self, asked):
        grants = self.peers().get(asked.gid, {}).get("grants", [])
        return next((one for one in grants if (one["remote"], one["local"]) == (asked.src, asked.dst)), None)

    def decide(self, asked):
        """Steps 17 and 18 in one transaction: the `jti` becomes durable with what the request does, or with its refusal."""
        refusal = result = None
        with self.store.tx() as db:
            said = asked.said
            if self.store.one("SELECT 1 FROM jti WHERE gid = ? AND jti = ?", asked.gid, said["jti"]):
                raise Problem("replayed")
            db.execute("INSERT INTO jti VALUES (?, ?, ?)", (asked.gid, said["jti"], said["exp"]))
            try:
                result = getattr(self, "op_" + said["op"])(asked, said["body"])
            except Problem as problem:
                refusal = problem
        if refusal:
            raise refusal
        return result

    # Operations. Each runs inside of the transaction of `decide`, and refuses before it writes.

    def op_catalog(self, asked, body):
        raise Problem("not_supported")

    def op_attach(self, asked, body):
        run = self.find(asked, body)
        if body["after"] > run["seq"]:
            raise Problem("cursor_ahead")
        return run["run"], body["after"]

    def op_inspect(self, asked, body):
        run = self.find(asked, body)
        result = {"accept": b64u(Envelope(json.loads(run["accept"])).digest), "deadline": run["deadline"], "head": b64u(run["head"]),
                  "run": run["run"], "seq": run["seq"], "state": "terminal" if run["outcome"] else "running"}
        return {**result, "outcome": run["outcome"]} if run["outcome"] else result

    def op_cancel(self, asked, body):
        key = self.key(asked, body["idempotencyKey"]) if "idempotencyKey" in body else None
        if "idempotencyKey" in body and (key is None or key["run"] is None):
            if key is None:
                self.store.db.execute("INSERT INTO key VALUES (?, ?, ?, ?, NULL, NULL, ?)", (
                    *asked.owner, body["idempotencyKey"], self.now()))
                self.store.audit(f"blocked {asked.gid} {body['idempotencyKey']}")
            return {"cancel": "blocked"}
        run = self.find(asked, body)
        if run["outcome"]:
            return {"cancel": "already_terminal", "run": run["run"]}
        self.stop(run["run"], "cancel")
        return {"cancel": "requested", "run": run["run"]}

    def op_start(self, asked, body):
        printed = b64u(sha(b"GFP-BODY-v1\n", wire.write(body)))
        known = self.key(asked, body["idempotencyKey"])
        if known:
            if known["run"] is None:
                raise Problem("cancelled_before_start")
            if known["print"] != printed:
                raise Problem("key_conflict")
            return known["run"], 0
        now, grant, mine = self.now(), self.grant(asked), self.incarnation()
        if mine["n"] > 1 and body["invokedAt"] < mine["since"]:
            raise Problem("lost_history")
        if body["invokedAt"] < now - KEY_WINDOW:
            raise Problem("key_expired")
        if body["invokedAt"] > now + SKEW:
            raise Problem("clock_skew")
        target, limits = body["agentTarget"], body.get("limits", {})
        if (grant is None or "prompt" not in body or "prompt" not in grant["asks"] or target["agent"] not in grant["agents"]
                or target["mode"] not in grant["modes"]):
            raise Problem("not_granted")
        if "session" in target and not any(
                json.loads(row["body"])["agentTarget"]["agent"] == target["agent"] for row in self.store.all(
                    "SELECT body FROM run WHERE gid = ? AND src = ? AND dst = ? AND session = ? AND known",
                    *asked.owner, target["session"])):
            raise Problem("session_unknown")
        self.room(asked, grant)
        deadline = now + min(grant["deadline_ms_max"], DEADLINE_MAX if "deadline" in body else DEADLINE)
        deadline = min(deadline, body.get("deadline", deadline))
        run = "run-" + wire.gateway_id(secrets.token_bytes(16))[4:]
        status = self.store.one("SELECT n, seq FROM status WHERE gid = ? ORDER BY n DESC, seq DESC LIMIT 1", asked.gid)
        accept = self.sign("accept", aud=asked.gid, deadline=deadline, key=body["idempotencyKey"], print=printed, proto=1, run=run,
                           seen={"n": status["n"], "seq": status["seq"]}, tenant=asked.said["tenant"])
        self.store.db.execute(
            "INSERT INTO run (run, gid, src, dst, accept, body, deadline, frames_max, bytes_max, disclose, session, head) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (
                run, *asked.owner, accept.text, wire.write(body), deadline,
                min(RUN_FRAMES_MAX, limits.get("frames", RUN_FRAMES_MAX), grant.get("frames_max", RUN_FRAMES_MAX)),
                min(RUN_BYTES_MAX, limits.get("bytes", RUN_BYTES_MAX), grant.get("bytes_max", RUN_BYTES_MAX)),
                grant["disclose"]["output"], target.get("session"), sha(b"GFP-STREAM-v1\n", accept.digest)))
        self.store.db.execute("INSERT INTO key VALUES (?, ?, ?, ?, ?, ?, NULL)", (*asked.owner, body["idempotencyKey"], printed, run))
        self.store.audit(f"started {run} for {asked.gid}")
        threading.Thread(target=self.lead, args=(run,), daemon=True).start()  # it waits for the lock: until this is committed
        return run, 0

    def room(self, asked, grant):
        """Quotas and shares (REQ-28, REQ-60), before a key is bound. `accept` writes no other quota into a grant."""
        if self.draining:
            raise Problem("draining", retryAfterMs=2000)
        everyone = self.store.all("SELECT gid, src, dst FROM run WHERE outcome IS NULL")
        mine = sum(tuple(row) == asked.owner for row in everyone)
        shared = sum(len(peer["grants"]) for peer in self.peers().values()) > 1
        if mine >= grant.get("concurrent_max", RUNS_MAX) or shared and 0 < mine >= RUNS_MAX - len(everyone):
            raise Problem("rate_limited", retryAfterMs=1000)
        if len(everyone) >= RUNS_MAX:
            raise Problem("overloaded", retryAfterMs=1000)

    def key(self, asked, key):
        return self.store.one("SELECT * FROM key WHERE gid = ? AND src = ? AND dst = ? AND key = ?", *asked.owner, key)

    def find(self, asked, body):
        """The owner's run; one of another owner looks like one that there is not (PRB-8)."""
        key = self.key(asked, body["idempotencyKey"]) if "idempotencyKey" in body else None
        name = body.get("run") or (key["run"] if key else None)
        run = self.store.one("SELECT * FROM run WHERE run = ? AND gid = ? AND src = ? AND dst = ?", name, *asked.owner)
        if run is None:
            raise Problem("not_found")
        return run

    # Runs.

    def stop(self, run, reason):
        """Records why a run is to stop; the first reason stays (REQ-33, REQ-71). The thread that leads it reads it."""
        self.store.db.execute("UPDATE run SET reason = ? WHERE run = ? AND reason IS NULL AND outcome IS NULL", (reason, run))

    def wait(self, run, seconds=float("inf"), ready=lambda: False):
        """Waits for a time or a condition; gives the reason to stop the run, if there is one before."""
        end = time.monotonic() + seconds
        with self.store.lock:
            while True:
                row = self.store.one("SELECT reason, deadline FROM run WHERE run = ?", run)
                if row["reason"]:
                    return row["reason"]
                if self.now() >= row["deadline"]:
                    with self.store.tx():
                        self.stop(run, "deadline")
                elif ready() or time.monotonic() >= end:
                    return None
                else:
                    self.store.news.wait(max(0.001, min(end - time.monotonic(), (row["deadline"] - self.now()) / 1000, 60)))

    def lead(self, run):
        """Leads a run from its beginning to its terminal, in a thread of its own."""
        row = self.store.one("SELECT * FROM run WHERE run = ?", run)
        if row is None:
            return  # it could not be committed, and nobody was told of it
        body, usage = json.loads(row["body"]), None
        earlier = "SELECT 1 FROM run WHERE session = ? AND n < ? AND outcome IS NULL"
        reason = self.wait(run, ready=lambda: not self.store.one(earlier, row["session"], row["n"]))  # REQ-48
        if not reason:
            with self.store.tx() as db:
                db.execute("UPDATE run SET called = 1 WHERE run = ?", (run,))  # REQ-26: once, also after a crash
            session = row["session"] or "s-" + secrets.token_hex(8)
            started = {"agent": body["agentTarget"]["agent"], "session": session, "software": SOFTWARE}
            self.append(run, "started", {**started, **({"remoteRunId": body["remoteRunId"]} if "remoteRunId" in body else {})})
            written = 0
            for seconds, text in agent(body["prompt"]):
                reason = self.wait(run, seconds)
                if reason:
                    break
                for piece in pieces(text):
                    self.append(run, "output", {"channel": "answer", **self.disclosed(row["disclose"], piece)})
                written += len(text.split())
            asked_words = len(body["prompt"].split())
            usage = {"cacheRead": 0, "cacheWrite": 0, "input": asked_words, "output": written, "total": asked_words + written}
            self.append(run, "tokenUsage", usage)
            if not reason and usage["total"] > body.get("limits", {}).get("tokens", wire.INTEGER_MAX):
                return self.end(run, "failed", "budget_exceeded", usage=usage)  # REQ-57
        if reason:
            return self.end(run, *self.STOPPED[reason], usage=usage)
        self.end(run, "succeeded", usage=usage)

    STOPPED = {"cancel": ("cancelled", "cancelled"), "deadline": ("expired", "deadline_exceeded")}

    def disclosed(self, how, text):
        """STR-32."""
        raw = text.encode()
        return {"full": {"text": text}, "digest": {"digest": b64u(sha(raw)), "size": len(raw)}, "none": {}}[how]

    def end(self, run, outcome, code=None, effects="none", usage=None):
        """This agent has no effects, so what it did is known even where it was stopped."""
        payload = {"by": "executor", "outcome": outcome, "sideEffects": effects}
        if code:
            payload["problem"] = Problem(code).object(effects)
        self.append(run, "terminal", {**payload, "usage": usage} if usage else payload)

    def append(self, run, event, payload):
        """Adds a frame to a run that has no terminal, or the terminal that its limits ask for in its place (STR-4)."""
        with self.store.tx() as db:
            row = self.store.one("SELECT * FROM run WHERE run = ?", run)
            if row["outcome"] or self.store.meta("rolled_back"):  # ID-40
                return
            seq, data = row["seq"] + 1, b'{"seq":%d,"event":"%s","payload":%s}'
            frame = data % (seq, event.encode(), wire.write(payload))
            if event != "terminal" and (seq >= row["frames_max"] or row["bytes"] + len(frame) + TERMINAL_BYTES > row["bytes_max"]):
                return self.end(run, "failed", "budget_exceeded")
            head = sha(b"GFP-CHAIN-v1\n", row["head"], seq.to_bytes(8, "big"), sha(b"GFP-LEAF-v1\n", frame))
            db.execute("INSERT INTO frame VALUES (?, ?, ?, ?)", (run, seq, frame, head))
            db.execute("UPDATE run SET seq = ?, bytes = bytes + ?, head = ? WHERE run = ?", (seq, len(frame), head, run))
            if event == "started":
                db.execute("UPDATE run SET session = ?, known = 1 WHERE run = ?", (payload["session"], run))  # REQ-46
            if event == "terminal":
                db.execute("UPDATE run SET outcome = ?, ended = ? WHERE run = ?", (payload["outcome"], self.now(), run))
                self.store.audit(f"ended {run} {payload['outcome']}")

    def take_up(self):
        """After a start: runs that the agent had not been asked for are led, the others died with it (STR-45, STR-27)."""
        for row in self.store.all("SELECT * FROM run WHERE outcome IS NULL ORDER BY n"):
            if not row["called"]:
                threading.Thread(target=self.lead, args=(row["run"],), daemon=True).start()
            elif row["reason"]:
                self.end(row["run"], *self.STOPPED[row["reason"]], effects="unknown")
            else:
                self.end(row["run"], "failed", "interrupted", effects="unknown")

    def keep_house(self):
        """Once a second: revoked peers' runs are stopped. Once a minute: what is out of its window goes."""
        for turn in itertools.count(1):
            time.sleep(1)
            now = self.now()
            for row in self.store.all("SELECT run, gid FROM run WHERE outcome IS NULL AND reason IS NULL"):
                if self.peers().get(row["gid"], {}).get("status") == "revoked":
                    with self.store.tx():
                        self.stop(row["run"], "cancel")  # ID-62
            if turn % 60 == 0:
                gone = now - KEY_WINDOW - SKEW  # REQ-25, REQ-69
                with self.store.tx() as db:
                    self.store.put(clock=now)
                    db.execute("DELETE FROM jti WHERE exp < ?", (now - 2 * SKEW,))
                    db.execute("DELETE FROM key WHERE blocked < ? OR run IN (SELECT run FROM run WHERE ended < ?)", (gone, gone))
                    db.execute("DELETE FROM frame WHERE run IN (SELECT run FROM run WHERE ended < ?)", (gone,))
                    db.execute("DELETE FROM run WHERE ended < ?", (gone,))
                    if self.counted:
                        self.store.audit(f"also refused: {self.counted}")
                self.counted, self.refused = {}, {}
                if self.status()["seq"] < now - STATUS_REFRESH:
                    self.issue_status()

    # Streams.

    def events(self, asked, run, after):
        """The events of one connection, each as its bytes (stream.md)."""
        row = self.store.one("SELECT accept FROM run WHERE run = ?", run)
        accept, quiet_since = Envelope(json.loads(row["accept"])), time.monotonic()
        shown = asked.said["seen"]["n"], asked.said["seen"]["seq"]
        yield b"event: accept\ndata: %s\n\n" % accept.text

        def seal(seq, head, final):
            return self.sign("seal", accept=b64u(accept.digest), final=final, head=b64u(head), run=run, seq=seq, t=self.now()).text

        while True:
            with self.store.lock:
                cause, status, now = self.cause(asked), self.status(), time.monotonic()
                row = self.store.one("SELECT seq, head, outcome FROM run WHERE run = ?", run)
                fresh = (self.store.meta("incarnation"), status["seq"])
                frames = [] if cause else self.batch(run, after)
                if row["outcome"] and after == row["seq"]:
                    return  # the terminal was shown, now or to who attached behind it
                alive = now - quiet_since >= ALIVE_SECONDS
                if not cause and fresh <= shown and not frames and not alive:
                    self.store.news.wait(min(1, ALIVE_SECONDS - (now - quiet_since)))
                    continue
            if cause:
                yield b"event: problem\ndata: %s\n\n" % self.refusal(Problem(cause), asked).text
                return
            if fresh > shown:  # STR-18
                shown = fresh
                yield b"event: status\ndata: %s\n\n" % status["envelope"]
            elif frames:
                after, final = frames[-1]["seq"], bool(row["outcome"]) and frames[-1]["seq"] == row["seq"]
                lines = b"".join(b"data: %s\n" % frame["bytes"] for frame in frames)
                yield b"id: %d\nevent: frames\n%sdata: %s\n\n" % (after, lines, seal(after, frames[-1]["head"], final))
            else:
                yield b"event: alive\ndata: %s\n\n" % seal(row["seq"], row["head"], False)
            quiet_since = time.monotonic()

    def batch(self, run, after):
        rows = self.store.all("SELECT * FROM frame WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?", run, after, BATCH_FRAMES_MAX)
        size, out = 0, []
        for row in rows:
            size += len(row["bytes"])
            if size > BATCH_BYTES_MAX:
                break
            out.append(row)
        return out

    def refusal(self, problem, asked):
        return self.sign("problem", aud=asked.gid, problem=problem.object(), request=b64u(asked.request.digest), t=self.now())

    def count_refusal(self, what):
        self.counted[what] = self.counted.get(what, 0) + 1

    def record_refusal(self, gid, problem):
        """PRB-10: a record for each, but no more than a quota of each peer in a minute; the rest are counted."""
        self.refused[gid] = self.refused.get(gid, 0) + 1
        if self.refused[gid] > REFUSALS_PER_MINUTE:
            return self.count_refusal(f"{problem.code} of {gid}")
        with contextlib.suppress(sqlite3.OperationalError), self.store.tx():
            self.store.audit(f"refused {gid} {problem.code} {problem.why}")

    def answer(self, asked, result):
        return self.sign("answer", aud=asked.gid, request=b64u(asked.request.digest), result=result, t=self.now())

    # Pairing, as the one that invites.

    def invite(self):
        secret, now = secrets.token_bytes(32), self.now()
        document = wire.write({"endpoint": self.root.doc["endpoints"][0], "expires": now + DAY, "genesis": b64u(self.root.digest), "root": b64u(self.root.digest),
                               "root_version": self.version, "secret": b64u(secret), "v": 1})
        with self.store.tx() as db:
            db.execute("INSERT INTO invite VALUES (?, ?, ?, NULL)", (b64u(sha(b"GFP-INVITE-v1\n", secret)), secret, now + DAY))
        return f"gfp1:{b64u(document)}.{b64u(sha(b'GFP-INVITE-TEXT-v1', bytes([10]), document))[:6]}"

    def pair(self, data):
        """A pairing: the same body as an operation, from a gateway that is nobody yet. No refusal of it is signed."""
        roots, status, request, _ = wire.read_operation(data)
        for envelope in roots:
            envelope.expect("root")
        status.expect("status"), request.expect("pairing")
        if len(roots) > CHAIN_ROOTS_MAX:
            raise Problem("too_large", "roots")
        if not roots:
            raise unverified("a pairing without its chain")
        gid, now, chain = wire.gateway_id(roots[0].digest), self.now(), []
        for envelope in roots:
            chain.append(Root(envelope).check(chain[-1] if chain else None, gid, now))
        request.verify(chain[-1].keys("request"), chain[-1].threshold("request"), now)
        said = wire.read(request.payload)
        wire.PAIRING(said)
        if said["iss"] != gid or said["aud"] != self.gid or said["genesis"] != b64u(chain[0].digest):
            raise unverified("not that gateway, or not for us")
        if not 1 <= said["exp"] - said["iat"] <= wire.REQUEST_LIFE_MAX:
            raise malformed("a pairing's life")
        if said["iat"] > now + SKEW or said["exp"] < now - SKEW:
            raise Problem("clock_skew")
        with self.store.lock:
            invite = self.store.one("SELECT * FROM invite WHERE id = ?", said["invite"])
            proof = invite and hmac.digest(invite["secret"], f"GFP-PAIRING-v1\n{self.gid}\n{gid}".encode(), "sha256")
            if proof is None or not hmac.compare_digest(proof, unb64u(said["proof"])) or invite["gid"] not in (None, gid):
                raise unverified("no such invite")
            if invite["gid"] is None and invite["expires"] <= now:
                raise unverified("the invite expired")
            if self.store.one("SELECT 1 FROM jti WHERE gid = ? AND jti = ?", gid, said["jti"]):
                raise Problem("replayed")
            self.take_roots(gid, roots, CHAIN_ROOTS_MAX)
            self.take_status(gid, status, 1)
            with self.store.tx() as db:
                db.execute("INSERT INTO jti VALUES (?, ?, ?)", (gid, said["jti"], said["exp"]))
                if invite["gid"] is None:
                    db.execute("UPDATE invite SET gid = ? WHERE id = ?", (gid, invite["id"]))  # ID-35
                    self.store.audit(f"paired {gid}")
        accepted = self.peers().get(gid, {}).get("status") == "active"
        return self.answer(Asked(gid, None, request, []), {"pairing": "accepted" if accepted else "pending"})

    def words(self, invite):
        """The twelve words of a pairing, for two people to compare."""
        from mnemonic import Mnemonic  # for its list of words, BIP 39's English one, and nothing else
        listed = Mnemonic("english").wordlist
        bits = int.from_bytes(sha(b"GFP-WORDS-v1\n", self.root.digest, self.chain(invite["gid"])[0].digest, unb64u(invite["id"])), "big")
        return [listed[bits >> (256 - 11 * at) & 2047] for at in range(1, 13)]

    def federate(self, change):
        """Signs the next federation document. It needs the policy key, which `serve` never reads."""
        with open(os.path.join(self.home, "offline.json"), encoding="utf-8") as file:
            policy = Key(bytes.fromhex(json.load(file)["policy"]))
        with self.store.tx():
            document = wire.read(Envelope(json.loads(self.store.meta("federation"))).payload)
            peers = {peer["gid"]: peer for peer in document["peers"]}
            change(peers)
            document.update(issued=self.now(), peers=[peers[gid] for gid in sorted(peers)], version=document["version"] + 1)
            self.store.put(federation=wire.sign("federation", document, policy).text)


class Asked:
    """A request that passed steps 1 to 10."""

    def __init__(self, gid, said, request, held):
        self.gid, self.said, self.request, self.held = gid, said, request, held
        self.src, self.dst = (said["tenant"]["src"], said["tenant"]["dst"]) if said else (None, None)
        self.owner = (gid, self.src, self.dst)


# Commands.

def serve(home):
    executor = Executor(home)
    executor.issue_status()
    executor.take_up()
    host, _, port = executor.store.meta("listen").rpartition(":")
    server = Server((host.strip("[]"), int(port)), executor)

    def drain(*_):
        """STR-44: streams end with `draining`, runs do not end."""
        executor.draining = True
        threading.Thread(target=lambda: (time.sleep(1.5), server.shutdown()), daemon=True).start()

    signal.signal(signal.SIGTERM, drain)
    signal.signal(signal.SIGINT, drain)
    threading.Thread(target=executor.keep_house, daemon=True).start()
    print(f"{executor.gid} listens on {host}:{port}", flush=True)
    server.serve_forever(0.2)


def accept(home, options):
    executor = Executor(home)
    waiting = [row for row in executor.store.all("SELECT * FROM invite WHERE gid IS NOT NULL") if row["gid"] not in executor.peers()]
    if len(waiting) != 1:
        sys.exit(f"{len(waiting)} gateways wait to be accepted")
    words, gid = executor.words(waiting[0]), waiting[0]["gid"]
    print(f"{gid} has joined. Do both sides read the same twelve words?\n\n  {' '.join(words)}\n")
    told = options.words.split() if options.words else input("Type them as the other side reads them out: ").split()
    if told != words:
        sys.exit("These are not the words. Nobody was accepted.")
    grant = {"agents": options.agent, "asks": ["prompt"], "concurrent_max": options.concurrent, "deadline_ms_max": DEADLINE,
             "disclose": dict.fromkeys(("output", "tool_args", "tool_results"), options.disclose), "local": options.dst,
             "modes": options.mode or ["session", "turn"], "remote": options.src, "tools": []}
    root = executor.chain(gid)
    executor.federate(lambda peers: peers.update({gid: {
        "alias": options.alias, "endpoints": root[-1].doc["endpoints"], "genesis": b64u(root[0].digest), "gid": gid,
        "grants": [grant], "min_root_version": len(root), "status": "active"}}))
    print(f"{options.alias} may ask {', '.join(options.agent)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", default="example-executor")
    commands = parser.add_subparsers(dest="command", required=True)
    sub = commands.add_parser("init")
    sub.add_argument("--listen", default="127.0.0.1:7543")
    sub.add_argument("--endpoint", help="the https origin that peers dial, where it is another")
    commands.add_parser("serve")
    commands.add_parser("invite")
    sub = commands.add_parser("accept")
    sub.add_argument("alias")
    sub.add_argument("--words", help="the twelve words as the other side reads them; asked for otherwise")
    sub.add_argument("--agent", action="append", required=True)
    sub.add_argument("--mode", action="append", choices=["session", "turn"])
    sub.add_argument("--src", default="default", help="the peer's tenant")
    sub.add_argument("--dst", default="default", help="our tenant")
    sub.add_argument("--concurrent", type=int, default=16)
    sub.add_argument("--disclose", default="full", choices=["full", "digest", "none"])
    sub = commands.add_parser("peer")
    sub.add_argument("alias")
    sub.add_argument("status", choices=["active", "suspended", "revoked"])
    options = parser.parse_args()
    if options.command == "init":
        values = identity.make(options.home, options.endpoint or f"https://{options.listen}")
        store = Store(options.home)
        with store.tx():
            store.put(listen=options.listen, **values)
        print(Executor(options.home).gid)
    elif options.command == "serve":
        serve(options.home)
    elif options.command == "invite":
        print(Executor(options.home).invite())
    elif options.command == "accept":
        accept(options.home, options)
    else:
        def change(peers):
            peer = next(peer for peer in peers.values() if peer["alias"] == options.alias)
            if peer["status"] == "revoked":
                sys.exit("revoked for good")  # ID-63
            peer.update(status=options.status, grants=[] if options.status == "revoked" else peer["grants"])
        Executor(options.home).federate(change)


if __name__ == "__main__":
    main()
