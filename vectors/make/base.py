"""Keys, signatures and a gateway. CC0 1.0: take them."""

import base64
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NOW = 1_700_000_000_000
DAY = 86_400_000
ROLES = ("root", "stream", "request", "status", "policy")


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def b64u(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def spare(text):
    """Base64url with a bit set that stands for nothing."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + letters[letters.index(text[-1]) ^ 1]


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
    media = f"application/vnd.gfp.{kind}.v1+json" if media is None else media
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
