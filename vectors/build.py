#!/usr/bin/env python3
"""Makes the vectors. CC0 1.0: take them.

Written from `spec/` and independent of every implementation: it does not import one, and signs with keys
whose seeds are one byte, 32 times. The stories are in `cases.py`.

    python3 vectors/build.py            writes vectors/transcripts/*.json
    python3 vectors/build.py --check    fails when a file on disk differs
"""

import base64
import copy
import hashlib
import json
import os
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = os.path.dirname(os.path.abspath(__file__))
NOW = 1_700_000_000_000
DAY = 86_400_000
ROLES = ("root", "stream", "request", "status", "policy")


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def b64u(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jcs(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


class Key:
    def __init__(self, seed):
        self.secret = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public = self.secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.kid = b64u(sha(b"GFP-KEY-v1\ned25519\n", self.public))


def pae(media, payload):
    return b"DSSEv1 %d %b %d %b" % (len(media), media.encode(), len(payload), payload)


def sign(kind, payload, *keys, media=None):
    """An envelope over a document, or over bytes as they are."""
    payload = payload if isinstance(payload, bytes) else jcs(payload)
    media = media or f"application/vnd.gfp.{kind}.v1+json"
    signed = pae(media, payload)
    signatures = [
        {"keyid": key.kid, "sig": base64.b64encode(key.secret.sign(signed)).decode()}
        for key in sorted(keys, key=lambda key: key.kid)
    ]
    return {"payload": base64.b64encode(payload).decode(), "payloadType": media, "signatures": signatures}


def dsse_digest(envelope):
    return sha(pae(envelope["payloadType"], base64.b64decode(envelope["payload"])))


class Gateway:
    """One side, with a first root."""

    def __init__(self, first_seed, url):
        self.key = {role: Key(first_seed + at) for at, role in enumerate(ROLES)}
        self.document = {
            "endpoints": [{"url": url}],
            "expires": NOW + 400 * DAY,
            "issued": NOW,
            "keys": {
                key.kid: {"alg": "ed25519", "exp": NOW + 400 * DAY, "nbf": NOW, "pub": b64u(key.public)}
                for key in self.key.values()
            },
            "min_proto": 1,
            "roles": {role: {"keyids": [key.kid], "threshold": 1} for role, key in self.key.items()},
            "v": 1,
            "version": 1,
        }
        self.found()

    def found(self):
        """Signs the first root, which makes the id."""
        self.root = sign("root", self.document, self.key["root"])
        digest = dsse_digest(self.root)
        self.gid = "gw1-" + base64.b32encode(digest).decode().lower().rstrip("=")

    def status(self, at=NOW, root=None, version=1, **changes):
        return {
            "audit": {"head": b64u(sha(b"head")), "size": 0},
            "expires": at + 3_600_000,
            "incarnation": {"n": 1, "since": NOW},
            "iss": self.gid,
            "issued": at,
            "refresh_ms": 1_800_000,
            "revoked": [],
            "root": b64u(dsse_digest(root or self.root)),
            "root_version": version,
            "seq": at,
            "v": 1,
            **changes,
        }


class Story:
    """A whole transcript, every part of which can be changed before the parts that follow from it are made."""

    RUN = "run-aaaqeayeaudaocajbifqydiob4"

    def __init__(self):
        self.a, self.b = Gateway(1, "https://a.example:7443"), Gateway(17, "https://b.example:7443")
        self.later = {"caller": [], "executor": []}
        self.statuses = {"caller": None, "executor": None}
        self.body = {
            "agentTarget": {"agent": "triage", "mode": "session"},
            "callerIdentity": {"principal": "ci@acme"},
            "idempotencyKey": "example-2023-11-14",
            "invokedAt": NOW + 1000,
            "prompt": "Say hello.",
        }
        self.frames = [
            ("started", {"agent": "triage", "session": "s-1", "software": "example 1"}),
            ("output", {"channel": "answer", "text": "Hello."}),
            ("terminal", {"by": "executor", "outcome": "succeeded", "result": "Hello.", "sideEffects": "possible"}),
        ]
        #: After how many frames a seal stands, and when it was signed.
        self.seals = [(2, NOW + 2000), (3, NOW + 13_000)]
        self.change = {}
        self.keys = {}
        self.lost = None

    def made(self, name, document, *keys):
        """Signs what a part became after this story's change of it. The last word of its name is its kind."""
        kind, edit = name.split()[-1], self.change.get(name)
        if edit is not None:
            changed = copy.deepcopy(document)
            document = edit(changed) or changed
        return sign(kind, document, *(self.keys.get(name) or keys))

    def lines(self):
        a, b = self.a, self.b
        for side in (a, b):
            side.found()
        out = [{"caller": a.gid, "executor": b.gid, "run": self.RUN, "type": "header", "v": 1}]
        for of, side in (("caller", a), ("executor", b)):
            out += [{"of": of, "type": "root", "value": root} for root in [side.root] + self.later[of]]
        for of, side in (("caller", a), ("executor", b)):
            listed = self.statuses[of]
            documents = [side.status()] if listed is None else listed
            made = [self.made(f"{of} status", one, side.key["status"]) for one in documents]
            out += [{"of": of, "type": "status", "value": one} for one in made]
        request = self.made("request", {
            "aud": b.gid, "body": self.body, "exp": NOW + 61_000, "iat": NOW + 1000, "iss": a.gid,
            "jti": "AAECAwQFBgcICQoLDA0ODw", "op": "start", "proto": [1], "seen": {"n": 1, "seq": NOW},
            "tenant": {"dst": "ops", "src": "acme"}, "v": 1,
        }, a.key["request"])
        out.append({"type": "request", "value": request})
        accept = self.made("accept", {
            "aud": a.gid, "deadline": NOW + 601_000, "iss": b.gid, "key": "example-2023-11-14",
            "print": b64u(sha(b"GFP-BODY-v1\n", jcs(self.body))), "proto": 1, "root_version": 1, "run": self.RUN,
            "seen": {"n": 1, "seq": NOW}, "tenant": {"dst": "ops", "src": "acme"}, "v": 1,
        }, b.key["stream"])
        out.append({"type": "accept", "value": accept})
        accepted = b64u(dsse_digest(accept))
        head, seq = sha(b"GFP-STREAM-v1\n", dsse_digest(accept)), 0
        seals = dict(self.seals)
        for event, payload in self.frames:
            seq += 1
            line = payload if isinstance(payload, bytes) else (
                b'{"seq":%d,"event":%b,"payload":%b}' % (seq, jcs(event), jcs(payload)))
            head = sha(b"GFP-CHAIN-v1\n", head, seq.to_bytes(8, "big"), sha(b"GFP-LEAF-v1\n", line))
            out.append({"type": "frame", "value": line.decode()})
            if seq in seals:
                seal = {"accept": accepted, "final": event == "terminal", "head": b64u(head), "root_version": 1,
                        "run": self.RUN, "seq": seq, "t": seals[seq], "v": 1}
                name = "final seal" if seal["final"] else "seal"
                out.append({"type": "seal", "value": self.made(name, seal, b.key["stream"])})
        receipt = {"accept": accepted, "aud": b.gid, "head": b64u(head), "iss": a.gid, "key": "example-2023-11-14",
                   "root_version": 1, "run": self.RUN, "seq": seq, "t": NOW + 14_000, "v": 1}
        if self.lost:
            receipt["lost"] = self.lost
        out.append({"type": "receipt", "value": self.made("receipt", receipt, a.key["request"])})
        return out


def transcripts():
    """Each vector's file name and text."""
    from cases import CASES

    def bytes_of(make):
        story = Story()
        made = make(story)
        if not isinstance(made, (list, bytes)):
            made = [jcs(line) for line in story.lines()]
        return story, made if isinstance(made, bytes) else b"".join(line + b"\n" for line in made)

    story, whole = bytes_of(lambda story: None)
    pin = story.b.gid
    base = whole.splitlines(keepends=True)
    numbers = {line: number for number, line in enumerate(base, 1)}
    for name, clause, phase, code, make in CASES:
        story, data = bytes_of(make)
        lines = [numbers.get(line, line.decode()) for line in data.splitlines(keepends=True)]
        if name == "whole":
            lines = [line.decode() for line in base]
        own = phase == "root" and not name.startswith(("second", "new")) or name == "accept_key_valid_after_request"
        if code in (0, 5):
            phase = "none"
        yield name, {"clause": clause, "phase": phase, "exit": code, "pin": story.b.gid if own else pin, "lines": lines}


def main():
    folder, check = os.path.join(HERE, "transcripts"), "--check" in sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    made, wrong = {}, []
    for name, vector in transcripts():
        if name + ".json" in made:
            raise SystemExit(f"{name} stands twice")
        made[name + ".json"] = json.dumps(vector, ensure_ascii=False, indent=1) + "\n"
    for file in sorted(set(os.listdir(folder)) | set(made)):
        path = os.path.join(folder, file)
        there = open(path, encoding="utf-8", newline="").read() if os.path.exists(path) else None
        if there == made.get(file):
            continue
        wrong.append(file)
        if check:
            continue
        if file not in made:
            os.remove(path)
        else:
            with open(path, "w", encoding="utf-8", newline="") as out:
                out.write(made[file])
    print(f"{len(made)} vectors, {sum(json.loads(text)['phase'] != 'none' for text in made.values())} of them wrong on purpose")
    if check and wrong:
        raise SystemExit("differ from what this program makes: " + ", ".join(wrong))


if __name__ == "__main__":
    main()
