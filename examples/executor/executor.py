"""What an executor trusts, checks, runs and tells. The order of everything is that of `spec/`."""

import contextlib
import itertools
import json
import os
import secrets
import sqlite3
import threading
import time
import traceback

import wire
from store import Store
from wire import SKEW, Envelope, Key, Problem, Root, b64u, malformed, sha, unverified

DAY = 86_400_000
BATCH_FRAMES_MAX, BATCH_BYTES_MAX, OUTPUT_TEXT_BYTES_MAX = 64, 524_288, 32_768
ROOT_STEPS_MAX, CHAIN_ROOTS_MAX, REVOCATIONS_KEPT_MAX = 32, 256, 4096
DEADLINE, DEADLINE_MAX, DEADLINE_GRACE, KEY_WINDOW = 600_000, DAY, 30_000, 7 * DAY
RUN_FRAMES_MAX, RUN_BYTES_MAX, TERMINAL_BYTES = 100_000, 268_435_456, 600
STATUS_LIFE, STATUS_REFRESH = 3_600_000, 1_800_000
ALIVE_SECONDS = 8
RUNS_MAX, REFUSALS_PER_MINUTE = 32, 60
SOFTWARE = "example executor 1"

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


class Executor:
    """One gateway's side: what it knows is in `store`, and what stands here can be read from there again."""

    def __init__(self, home):
        self.home, self.store = home, Store(home)
        self.root = Root(Envelope(json.loads(self.store.meta("root"))))
        self.gid, self.version = wire.gateway_id(self.root.digest), self.root.version
        with open(os.path.join(home, "online.json"), encoding="utf-8") as file:
            self.keys = {role: Key(bytes.fromhex(seed)) for role, seed in json.load(file).items()}
        self.latest = self.store.meta("clock") or 0
        self.draining, self.peers_read, self.chains = False, (None, {}), {}
        self.counted, self.refused = {}, {}  # refusals of this minute: by code, and of each peer

    def now(self):
        """The clock, which never goes back, not over a restart either."""
        self.latest = max(self.latest, int(time.time() * 1000))
        return self.latest

    def sign(self, kind, **members):
        """An envelope of ours about a run or a request."""
        return wire.sign(kind, {**members, "root_version": self.version, "v": 1}, self.keys[wire.ROLES[kind]])

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
        if not self.keep_status(gid, chain, envelope, said):
            raise unverified("two statuses with one number")  # ID-19; no clause names a code
        return top

    def keep_status(self, gid, chain, envelope, said):
        """The monotony of statuses. Keeps one that is newer, or the proof that there are two with one number (STR-24)."""
        era = 1  # the numbering begins anew with the last root that changed the keys of the role (ID-20)
        for before, root in zip(chain, chain[1:]):
            if set(before.keys("status")) != set(root.keys("status")):
                era = root.version
        with self.store.tx() as db:
            known = self.store.all("SELECT * FROM status WHERE gid = ? ORDER BY seq", gid)
            if known and known[-1]["digest"] == envelope.digest:
                return True  # the same again
            counted = [row for row in known if row["era"] == era or said["root_version"] < era]
            for row in counted:
                if row["seq"] == said["seq"] and row["digest"] != envelope.digest:
                    proof = self.evidence(gid, row["envelope"], envelope)
                    db.execute("INSERT OR IGNORE INTO quarantine VALUES (?, ?)", (gid, proof))
                    self.store.audit(f"equivocation {gid}")
                    return False
            if (any(row["seq"] > said["seq"] for row in counted)
                    or any(row["n"] > said["incarnation"]["n"] or row["root_version"] > said["root_version"] for row in known)):
                raise Problem("status_stale", "older than one before")  # ID-18
            listed = {kid for root in chain for kid in root.doc["keys"]}
            gone = self.revoked(gid) | {one["kid"] for one in said["revoked"]}
            if len(gone - listed) > REVOCATIONS_KEPT_MAX:
                raise unverified("too many revocations")  # ID-82
            db.execute("INSERT OR IGNORE INTO status VALUES (?, ?, ?, ?, ?, ?, ?)", (
                gid, envelope.digest, said["seq"], said["incarnation"]["n"], said["root_version"], era, envelope.text))
            db.executemany("INSERT OR IGNORE INTO revoked VALUES (?, ?, ?)",
                           [(gid, one["kid"], one["since"]) for one in said["revoked"]])
            return True

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
        status.expect("status")
        request.expect("request")
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
        if 1 not in said["proto"] or self.root.doc["min_proto"] > 1:
            raise Problem("protocol_unsupported")
        self.look_back(asked)

    def look_back(self, asked):
        """Step 16: whether the peer saw something of ours that we forgot (ID-41, ID-42)."""
        seen, mine = asked.said["seen"], self.incarnation()
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
        if self.store.meta("halted"):
            return "halted"
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
        accept = Envelope(json.loads(run["accept"]))
        result = {"accept": b64u(accept.digest), "deadline": run["deadline"], "head": b64u(run["head"]), "run": run["run"],
                  "seq": run["seq"]}
        return {**result, "outcome": run["outcome"], "state": "terminal"} if run["outcome"] else {**result, "state": "running"}

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
        if grant is None or "prompt" not in body or "prompt" not in grant["asks"]:
            raise Problem("not_granted")
        if target["agent"] not in grant["agents"] or target["mode"] not in grant["modes"]:
            raise Problem("not_granted")
        if "session" in target:
            led = self.store.all("SELECT body FROM run WHERE gid = ? AND src = ? AND dst = ? AND session = ? AND known",
                                 *asked.owner, target["session"])
            if target["agent"] not in [json.loads(row["body"])["agentTarget"]["agent"] for row in led]:
                raise Problem("session_unknown")  # REQ-45
        self.room(asked, grant)
        deadline = now + min(grant["deadline_ms_max"], DEADLINE_MAX if "deadline" in body else DEADLINE)
        deadline = min(deadline, body.get("deadline", deadline))
        run = "run-" + wire.gateway_id(secrets.token_bytes(16))[4:]
        status = self.store.one("SELECT n, seq FROM status WHERE gid = ? ORDER BY n DESC, era DESC, seq DESC LIMIT 1", asked.gid)
        accept = self.sign(
            "accept", aud=asked.gid, deadline=deadline, iss=self.gid, key=body["idempotencyKey"], print=printed, proto=1, run=run,
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
        free, pairs = RUNS_MAX - len(everyone), sum(len(peer["grants"]) for peer in self.peers().values())
        if mine >= grant.get("concurrent_max", RUNS_MAX) or (pairs > 1 and mine >= max(1, free)):
            raise Problem("rate_limited", retryAfterMs=1000)
        if not free:
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
            if "remoteRunId" in body:
                started["remoteRunId"] = body["remoteRunId"]
            self.append(run, "started", started)
            given, written, most = len(body["prompt"].split()), 0, body.get("limits", {}).get("tokens", wire.INTEGER_MAX)
            for seconds, text in agent(body["prompt"]):
                if given + written > most:
                    with self.store.tx():
                        self.stop(run, "budget")  # REQ-57
                reason = self.wait(run, seconds)
                if reason:
                    break
                for piece in pieces(text):
                    self.append(run, "output", {"channel": "answer", **self.disclosed(row["disclose"], piece)})
                written += len(text.split())
            usage = {"cacheRead": 0, "cacheWrite": 0, "input": given, "output": written, "total": given + written}
            self.append(run, "tokenUsage", usage)
        if reason:
            return self.end(run, *self.STOPPED[reason], usage=usage)
        self.end(run, "succeeded", usage=usage)

    #: How a run ends that was stopped, by the reason.
    STOPPED = {"cancel": ("cancelled", "cancelled"), "deadline": ("expired", "deadline_exceeded"),
               "budget": ("failed", "budget_exceeded")}

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
            full = seq >= row["frames_max"] or row["bytes"] + len(frame) + TERMINAL_BYTES > row["bytes_max"]
            if full and event != "terminal":
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
        self.tidy(self.now(), False)
        for row in self.store.all("SELECT * FROM run WHERE outcome IS NULL ORDER BY n"):
            if not row["called"]:
                threading.Thread(target=self.lead, args=(row["run"],), daemon=True).start()
            elif row["reason"]:
                self.end(row["run"], *self.STOPPED[row["reason"]], effects="unknown")
            else:
                self.end(row["run"], "failed", "interrupted", effects="unknown")

    def keep_house(self):
        """Tidies once a second, and once a minute more thoroughly."""
        for turn in itertools.count(1):
            time.sleep(1)
            try:
                self.tidy(self.now(), turn % 60 == 0)
            except (Problem, sqlite3.Error):
                traceback.print_exc()  # next time, perhaps

    def tidy(self, now, minute):
        """Stops runs that nobody may want any more; each minute, what is out of its window goes, and a status is issued in time."""
        for row in self.store.all("SELECT * FROM run WHERE outcome IS NULL"):
            if self.store.meta("halted") or self.peers().get(row["gid"], {}).get("status") == "revoked":
                with self.store.tx():
                    self.stop(row["run"], "cancel")  # ID-62, ID-65
            if now > row["deadline"] + DEADLINE_GRACE:  # whoever led it is not there any more (REQ-72)
                self.end(row["run"], *self.STOPPED["deadline"], effects="unknown" if row["called"] else "none")
        if minute:
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
            return self.sign("seal", accept=b64u(accept.digest), final=final, head=b64u(head),
                             run=run, seq=seq, t=self.now()).text

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
        return self.sign("problem", aud=asked.gid, iss=self.gid, problem=problem.object(),
                         request=b64u(asked.request.digest), t=self.now())

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
        return self.sign("answer", aud=asked.gid, iss=self.gid, request=b64u(asked.request.digest), result=result, t=self.now())


class Asked:
    """A request that passed steps 1 to 10."""

    def __init__(self, gid, said, request, held):
        self.gid, self.said, self.request, self.held = gid, said, request, held
        self.src, self.dst = (said["tenant"]["src"], said["tenant"]["dst"]) if said else (None, None)
        self.owner = (gid, self.src, self.dst)
