"""Bytes of the Gateway Federation Protocol: documents, envelopes, keys, roots, statuses, requests, problems.

Nothing here knows a socket or a database. What a clause of `spec/` asks for has its number beside it.
"""

import base64
import functools
import hashlib
import ipaddress
import json
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

INTEGER_MAX, JSON_DEPTH_MAX, SIGNATURES_MAX = 2**53 - 1, 16, 16
DOCUMENT_BYTES_MAX, REQUEST_BYTES_MAX, ENVELOPE_BYTES_MAX, HELD_MAX = 65_536, 1_048_576, 1_406_296, 3
SKEW, ROOT_LIFE_MAX, STATUS_LIFE_MAX, REQUEST_LIFE_MAX = 60_000, 34_560_000_000, 86_400_000, 300_000

#: Each kind of envelope, and the role that may sign it.
ROLES = {
    "root": "root", "status": "status", "federation": "policy", "membership": None, "pairing": "request",
    "admission": "request", "request": "request", "receipt": "request", "accept": "stream", "seal": "stream",
    "answer": "stream", "problem": "stream", "catalog": "catalog", "operator-credential": "operator-ca",
    "approval-request": "request", "approval": None,
}
MEDIA = {f"application/vnd.gfp.{kind}.v1+json": kind for kind in ROLES}

CHANGE, RESIGN, NEW_KEY = "after_change", "resign_same_key", "new_key"
#: The part of the registry (problems.md) that this executor uses: HTTP status, retryable, retryMode.
REGISTRY = {
    "malformed": (400, False, CHANGE), "protocol_unsupported": (400, False, CHANGE),
    "verification_failed": (401, False, CHANGE), "clock_skew": (401, True, RESIGN), "not_granted": (403, False, CHANGE),
    "peer_suspended": (403, False, CHANGE), "peer_revoked": (403, False, CHANGE), "halted": (503, True, RESIGN),
    "rolled_back": (503, True, RESIGN),
    "not_supported": (501, False, CHANGE), "not_found": (404, False, None), "method_not_allowed": (405, False, CHANGE),
    "request_timeout": (408, True, RESIGN), "root_unknown": (409, True, RESIGN), "status_stale": (409, True, RESIGN),
    "replayed": (409, True, RESIGN), "cursor_ahead": (409, False, None), "cancelled_before_start": (409, False, NEW_KEY),
    "key_expired": (410, False, NEW_KEY), "lost_history": (410, False, NEW_KEY), "too_large": (413, False, CHANGE),
    "unsupported_encoding": (415, False, CHANGE), "key_conflict": (422, False, NEW_KEY), "rate_limited": (429, True, RESIGN),
    "internal": (500, True, RESIGN), "overloaded": (503, True, RESIGN), "draining": (503, True, RESIGN),
    "store_unavailable": (503, True, RESIGN), "session_unknown": (404, False, CHANGE), "interrupted": (503, True, NEW_KEY),
    "cancelled": (409, False, NEW_KEY), "deadline_exceeded": (504, True, NEW_KEY), "budget_exceeded": (403, False, CHANGE),
}


class Problem(Exception):
    """A refusal. `why` is for the operator's log; peers are told the code and nothing else."""

    def __init__(self, code, why="", **more):
        super().__init__(code, why)
        self.code, self.why, self.more = code, why, more

    def object(self, side_effects=None):
        status, retryable, mode = REGISTRY[self.code]
        side_effects = side_effects or ("unknown" if self.code in ("lost_history", "key_expired") else "none")
        out = {"code": self.code, "retryable": retryable, "sideEffects": side_effects, "status": status, **self.more}
        return out if mode is None else {**out, "retryMode": mode}


def malformed(why):
    return Problem("malformed", why)


def unverified(why):
    return Problem("verification_failed", why)


# Digests and texts.

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def b64u(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64u(text):
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64u(raw) != text:
        raise ValueError("not the one spelling of base64url")
    return raw


def gateway_id(digest):
    return "gw1-" + base64.b32encode(digest).decode().lower().rstrip("=")


# Control documents (ENV-16 to ENV-19).

def write(value):
    """The one spelling of a value: RFC 8785 for integers, texts and ASCII names."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _integer(text):
    if len(text) > 17 or abs(int(text)) > INTEGER_MAX:
        raise ValueError("integer too large")
    return int(text)


def _no_number(text):
    raise ValueError(f"{text} is not an integer")


def _members(pairs):
    value = dict(pairs)
    if len(value) != len(pairs) or not all(name.isascii() for name in value):
        raise ValueError("a member twice, or with a name beyond ASCII")
    return value


def depth(data):
    """How deep brackets nest outside of strings, counted before any recursive reader sees them (ENV-18)."""
    now = deepest = 0
    for mark in re.finditer(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]', data, re.DOTALL):
        now += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(mark.group()[:1], 0)
        deepest = max(deepest, now)
    return deepest


def parse(data, limit=JSON_DEPTH_MAX):
    """Reads JSON strictly, but does not ask yet for the one spelling."""
    try:
        if depth(data) > limit:
            raise ValueError("nested too deeply")
        return json.loads(data.decode(), object_pairs_hook=_members, parse_int=_integer, parse_float=_no_number,
                          parse_constant=_no_number)
    except (ValueError, RecursionError) as wrong:
        raise malformed(str(wrong)) from None


def read(data):
    value = parse(data)
    try:
        if write(value) == data:
            return value
    except UnicodeEncodeError:
        pass  # half of a surrogate pair: such a text has no bytes
    raise malformed("not the one spelling of this document")


# Ed25519, strictly (ENV-12, ID-2). The equation is the library's; what libraries leave open is decided here.

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, SQRT_M1 = -121665 * pow(121666, -1, P) % P, pow(2, (P - 1) // 4, P)


def _point(raw):
    """The point of canonical bytes in extended coordinates; None where there is none."""
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x + u) % P == 0:
        x = x * SQRT_M1 % P
    if y >= P or (v * x * x - u) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def _plus(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * D * p[3] * q[3] % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _vanishes(times, point):
    """Whether that many times the point is the identity."""
    out = (0, 1, 1, 0)
    while times:
        if times & 1:
            out = _plus(out, point)
        point, times = _plus(point, point), times >> 1
    return out[0] % P == 0 and (out[1] - out[2]) % P == 0


@functools.lru_cache(1024)
def good_key(public):
    """Canonical, of large order and torsion-free."""
    point = _point(public)
    return point is not None and not _vanishes(8, point) and _vanishes(L, point)


def good_signature(public, signature, message):
    point = _point(signature[:32])
    if not good_key(public) or point is None or _vanishes(8, point) or int.from_bytes(signature[32:], "little") >= L:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        return True
    except InvalidSignature:
        return False


class Key:
    """A signing key of our own."""

    def __init__(self, seed):
        self.seed, self.private = seed, Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.kid = b64u(sha(b"GFP-KEY-v1\ned25519\n", self.public))


# Envelopes.

class Envelope:
    """An envelope of the right form (ENV-1 to ENV-7). Nothing is verified yet."""

    def __init__(self, value):
        """Takes the value that was read from the canonical bytes."""
        try:
            if list(value) != ["payload", "payloadType", "signatures"]:
                raise malformed("not an envelope")
            self.kind, self.payload = MEDIA[value["payloadType"]], self._base64(value["payload"])
            self.signatures = [(one["keyid"], self._base64(one["sig"])) for one in value["signatures"]]
            shapes = [list(one) for one in value["signatures"]]
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            raise malformed(f"not an envelope: {wrong!r}") from None
        self.value, media = value, value["payloadType"].encode()
        self.text = write(value)  # its members stand in the order of their names, so this is ENV-1's form
        if len(self.payload) > (REQUEST_BYTES_MAX if self.kind == "request" else DOCUMENT_BYTES_MAX):
            raise Problem("too_large", "a payload")
        if len(self.text) > ENVELOPE_BYTES_MAX:
            raise Problem("too_large", "an envelope")
        ids = [kid for kid, _ in self.signatures]
        if not 1 <= len(ids) <= SIGNATURES_MAX or any(shape != ["keyid", "sig"] for shape in shapes):
            raise malformed("signatures")
        if not all(isinstance(kid, str) and re.fullmatch(KID, kid) for kid in ids) or sorted(set(ids)) != ids:
            raise malformed("key ids")
        if any(len(sig) != 64 for _, sig in self.signatures):
            raise malformed("a signature's length")
        self.signed = b"DSSEv1 %d %b %d %b" % (len(media), media, len(self.payload), self.payload)
        self.digest = sha(self.signed)

    @staticmethod
    def _base64(text):
        raw = base64.b64decode(text, validate=True)
        if base64.b64encode(raw).decode() != text:
            raise ValueError("not the one spelling of base64")
        return raw

    def expect(self, kind):
        if self.kind != kind:
            raise unverified(f"expected {kind}, got {self.kind}")  # ENV-8
        return self

    def verify(self, keys, threshold, at, revoked=()):
        """ENV-9 to ENV-13, and ID-22. `keys` are those of the one role, by `kid`."""
        for kid, signature in self.signatures:
            key = keys.get(kid)
            if key is None or kid in revoked or not key["nbf"] <= at < key["exp"]:
                raise unverified(f"key {kid} may not sign this {self.kind} now")
            if not good_signature(unb64u(key["pub"]), signature, self.signed):
                raise unverified(f"a signature of {kid} does not verify")
        if len(self.signatures) < threshold:
            raise unverified("too few signatures")
        return self


def sign(kind, document, *keys):
    media, payload = f"application/vnd.gfp.{kind}.v1+json", write(document)
    signed = b"DSSEv1 %d %b %d %b" % (len(media), media.encode(), len(payload), payload)
    made = [{"keyid": key.kid, "sig": base64.b64encode(key.private.sign(signed)).decode()} for key in keys]
    return Envelope({"payload": base64.b64encode(payload).decode(), "payloadType": media,
                     "signatures": sorted(made, key=lambda one: one["keyid"])})


def read_operation(data):
    """Step 3: an operation's body as its roots, its other two envelopes and what is held (REQ-1)."""
    value = parse(data, 8)
    if not isinstance(value, dict) or list(value) != [m for m in ("roots", "status", "request", "held") if m in value]:
        raise malformed("members of the body")
    roots, held = value.get("roots", []), value.get("held", [])
    if not {"status", "request"} <= set(value) or not isinstance(roots, list) or not isinstance(held, list):
        raise malformed("members of the body")
    if [] in value.values():
        raise malformed("an empty list")
    # The body's members do not ascend, those of envelopes do: this compares the order of all of them.
    if json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") != data:
        raise malformed("white space, or another spelling")
    if len(held) > HELD_MAX:
        raise Problem("too_large", "held")  # REQ-2
    roots, held = [Envelope(one) for one in roots], [Envelope(one) for one in held]
    return roots, Envelope(value["status"]), Envelope(value["request"]), held


# Forms of documents (ENV-19, ID-3): functions that raise where a value is not of the form.

KID = "[A-Za-z0-9_-]{43}"


def integer(low=0, high=INTEGER_MAX):
    def check(value):
        if type(value) is not int or not low <= value <= high:
            raise malformed("an integer")
    return check


def text(pattern=None, high=INTEGER_MAX):
    def check(value):
        if not isinstance(value, str) or len(value.encode()) > high or (pattern and not re.fullmatch(pattern, value)):
            raise malformed("a text")
    return check


def one_of(*values):
    def check(value):
        if not any(value == one and type(value) is type(one) for one in values):
            raise malformed(f"not one of {values}")
    return check


def each(item, low=0, high=INTEGER_MAX, by=None):
    def check(value):
        if not isinstance(value, list) or not low <= len(value) <= high:
            raise malformed("a list")
        for one in value:
            item(one)
        if by and any(by(one) >= by(two) for one, two in zip(value, value[1:])):
            raise malformed("not ascending")
    return check


def has(optional=None, **required):
    def check(value):
        if not isinstance(value, dict) or not set(required) <= set(value):
            raise malformed("an object, or a member that is missing")
        for name, one in value.items():
            member = required.get(name) or (optional or {}).get(name)
            if member is None:
                raise malformed(f"{name} is not defined here")
            member(one)
    return check


def named(name, item, low=0, high=INTEGER_MAX):
    def check(value):
        if not isinstance(value, dict) or not low <= len(value) <= high:
            raise malformed("an object")
        for key, one in value.items():
            name(key)
            item(one)
    return check


def bytes32(value):
    text(KID)(value)
    try:
        unb64u(value)
    except ValueError:
        raise malformed("not 32 bytes in base64url") from None


GID, TENANT, AGENT = text("gw1-[a-z2-7]{52}"), text(r"[a-z0-9][a-z0-9._-]{0,63}"), text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
RUN, SESSION, IDEMPOTENCY = text("run-[a-z2-7]{26}"), text("[!-~]{1,128}"), text("[!-~]{16,128}")
TOOL, JTI, CLAIM, OBJECT = text("[!-~]{1,128}"), text("[A-Za-z0-9_-]{22,64}"), text(high=256), named(text(), lambda value: None)
LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
ORIGIN = re.compile(rf"https://(?:{LABEL}(?:\.{LABEL})*|\[([0-9a-f:]+)\])(?::([1-9][0-9]{{0,4}}))?")
ONE, TIME = one_of(1), integer()


def url(value):
    """An `https` origin in its one spelling."""
    text(high=256)(value)
    found = ORIGIN.fullmatch(value)
    if found is None or int(found[2] or 443) > 65_535:
        raise malformed("not an https origin")
    try:
        if found[1] and str(ipaddress.IPv6Address(found[1])) != found[1]:
            raise ValueError
    except ValueError:
        raise malformed("an address in another spelling") from None


ROLE = has(keyids=each(text(KID), by=str), threshold=integer())
ROOT = has(
    {"prev": bytes32}, endpoints=each(has({"tls_spki": bytes32}, url=url), 0, 8), expires=TIME, issued=TIME,
    keys=named(text(KID), has(alg=one_of("ed25519"), exp=TIME, nbf=TIME, pub=bytes32), 0, 32), min_proto=integer(1),
    roles=named(one_of("root", "stream", "request", "status", "policy", "catalog", "operator-ca"), ROLE), v=ONE, version=integer(1))
STATUS = has(
    audit=has(head=bytes32, size=integer()), expires=TIME, incarnation=has(n=integer(1), since=TIME), iss=GID, issued=TIME,
    refresh_ms=integer(), revoked=each(has(kid=text(KID), reason=one_of("compromised", "retired", "superseded"), since=TIME),
                                       0, 256, lambda one: one["kid"]),
    root=bytes32, root_version=integer(1), seq=TIME, v=ONE)
REQUEST = has(
    {"traceparent": text(high=55)}, aud=GID, body=OBJECT, exp=TIME, iat=TIME, iss=GID, jti=JTI,
    op=one_of("start", "attach", "cancel", "inspect", "catalog"), proto=each(integer(1), 1, 16, int),
    seen=has(n=integer(), seq=TIME), tenant=has(dst=TENANT, src=TENANT), v=ONE)
PAIRING = has(aud=GID, exp=TIME, genesis=bytes32, iat=TIME, invite=bytes32, iss=GID, jti=JTI, proof=bytes32, v=ONE)
ASKS = {
    "prompt": text(), "toolCall": has(args=text(high=262_144), tool=TOOL),
    # Approvals are not offered here, so what stands inside of them is not read.
    "approvalGrant": has(approval=text(), decision=OBJECT), "approvalRequest": has(request=OBJECT, subject=text(high=65_536)),
}
START = has(
    {"deadline": TIME, "remoteRunId": CLAIM, **ASKS,
     "limits": named(one_of("bytes", "costMicroUsd", "frames", "tokens"), integer(1), 1)},
    agentTarget=has({"session": SESSION}, agent=AGENT, mode=one_of("session", "turn", "subagent")),
    callerIdentity=has({"workflow": CLAIM, "step": CLAIM, "labels": named(text("[A-Za-z0-9._/-]{1,63}"), CLAIM, 1, 32)},
                       principal=CLAIM),
    idempotencyKey=IDEMPOTENCY, invokedAt=TIME)
NAMED = {"run": RUN, "idempotencyKey": IDEMPOTENCY}
BODIES = {"attach": has(NAMED, after=integer()), "cancel": has({**NAMED, "reason": text()}), "inspect": has(NAMED),
          "catalog": has(), "start": START}


def read_request(payload):
    """Step 9: the form of a request and of what it asks."""
    value = read(payload)
    REQUEST(value)
    body = value["body"]
    BODIES[value["op"]](body)
    if value["op"] in ("attach", "cancel", "inspect") and ("run" in body) == ("idempotencyKey" in body):
        raise malformed("a run is named by its id or by its key")
    if value["op"] == "start":
        target, kinds = body["agentTarget"], [kind for kind in ASKS if kind in body]
        if len(kinds) != 1 or ("session" in target) != (target["mode"] != "session"):
            raise malformed("what is asked, or its session")  # REQ-8
        if kinds == ["toolCall"] and (target["mode"] != "session" or not _is_object(body["toolCall"]["args"])):
            raise malformed("a tool call")  # REQ-40
        if kinds[0].startswith("approval") and target != {"agent": "operators", "mode": "session"}:
            raise malformed("an approval for an agent")  # APR-32
    return value


def _is_object(args):
    """Whether a text is the JSON text of one object in which no member stands twice; it may hold any number."""
    def members(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a member twice")
        return dict(pairs)
    try:
        return depth(args.encode()) <= JSON_DEPTH_MAX and isinstance(
            json.loads(args, object_pairs_hook=members, parse_int=float, parse_constant=_no_number), dict)
    except (ValueError, RecursionError):
        return False


def read_status(payload):
    value = read(payload)
    STATUS(value)
    if not 1 <= value["expires"] - value["issued"] <= STATUS_LIFE_MAX or value["seq"] != value["issued"]:
        raise malformed("a status's life or number")  # ID-17
    return value


def issuer(envelope):
    """Step 5: who a status says it is from, to choose the keys that verify it and for nothing else."""
    try:
        said = json.loads(envelope.payload.decode(), object_pairs_hook=list)
        [iss] = [member[1] for member in said if isinstance(member, tuple) and member[0] == "iss"]
    except (ValueError, TypeError, RecursionError):
        raise unverified("a status of nobody") from None
    return iss


class Root:
    """A root document that was verified before, or is about to be."""

    def __init__(self, envelope):
        self.envelope, self.doc = envelope.expect("root"), read(envelope.payload)
        ROOT(self.doc)
        self.version, self.digest = self.doc["version"], envelope.digest

    def keys(self, role):
        return {kid: self.doc["keys"][kid] for kid in self.doc["roles"].get(role, {"keyids": []})["keyids"]}

    def threshold(self, role):
        return self.doc["roles"][role]["threshold"]

    def check(self, before, gid, now):
        """ID-1 to ID-8: that this root follows `before`, or is the first one of `gid`."""
        doc, roles = self.doc, self.doc["roles"]
        if before is None:
            if gateway_id(self.digest) != gid or self.version != 1 or "prev" in doc:
                raise unverified("not the first root of this gateway")
        elif self.version != before.version + 1 or doc.get("prev") != b64u(before.digest):
            raise unverified("a root that does not follow")
        elif doc["issued"] < before.doc["issued"]:
            raise unverified("a root older than the one it follows")
        if doc["issued"] > now + SKEW or not 1 <= doc["expires"] - doc["issued"] <= ROOT_LIFE_MAX:
            raise unverified("a root's dates")
        listed = [kid for role in roles.values() for kid in role["keyids"]]
        if not {"root", "stream", "request", "status", "policy"} <= set(roles) or len(set(listed)) != len(listed):
            raise unverified("a root's roles")
        if set(listed) != set(doc["keys"]) or any(not 1 <= r["threshold"] <= len(r["keyids"]) for r in roles.values()):
            raise unverified("a root's roles")
        for kid, key in doc["keys"].items():
            public = unb64u(key["pub"])
            if kid != b64u(sha(b"GFP-KEY-v1\ned25519\n", public)) or not good_key(public) or key["exp"] > doc["expires"]:
                raise unverified("a root's key")
        signers = {kid for kid, _ in self.envelope.signatures}
        allowed = {}
        for root in filter(None, (before, self)):
            keys = {kid: key for kid, key in root.keys("root").items() if kid in signers}
            if len(keys) < root.threshold("root") or any(not k["nbf"] <= doc["issued"] < k["exp"] for k in keys.values()):
                raise unverified("too few root keys, or one out of its time")  # ID-4, ID-6
            allowed.update(keys)
        self.envelope.verify(allowed, 1, doc["issued"])
        return self
