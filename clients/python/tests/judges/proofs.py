"""A decision's form, and the proof in it: how an operator's key signs, for each kind of key (APR-19 to APR-21)."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Dict

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from landbridge import _ed25519
from landbridge._documents import anything, bytes32, has, one_of
from landbridge._form import Malformed, Refused, _any_object, _standard64, digest, raw64, text64

MEDIA = "application/vnd.gfp.approval.v1+json"
NAMESPACE = b"approval.v1@gfp"
PRESENT, VERIFIED = 1, 4
#: Flags of an authenticator that say that more follows.
HAS_MORE = 0x40 | 0x80
#: How OpenSSH names the two kinds of keys.
SSH = {"ssh": b"ssh-ed25519", "ssh_sk": b"sk-ssh-ed25519@openssh.com"}


def _bytes(value: Any) -> None:
    _standard64(value)


_plain = has(kid=bytes32, kind=anything, sig=_bytes)
_assertion = has(authenticator_data=_bytes, client_data=_bytes, kid=bytes32, kind=anything, sig=_bytes)
_PROOFS = {"file": _plain, "ssh": _plain, "ssh_sk": _plain, "webauthn": _assertion}


def _proof(value: Any) -> None:
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _PROOFS:
        raise Malformed("a proof of no kind")
    _PROOFS[kind](value)


decision = has(
    approval=has(payload=_bytes, payloadType=one_of(MEDIA), proof=_proof), catalog=anything, credential=anything
)


def pae(payload: bytes) -> bytes:
    """What a proof is over."""
    return b"DSSEv1 %d %b %d %b" % (len(MEDIA), MEDIA.encode(), len(payload), payload)


def size(proof: Dict[str, Any]) -> int:
    """How many bytes a proof has, decoded."""
    return sum(len(_standard64(text)) for name, text in proof.items() if name not in ("kid", "kind"))


def prove(key: Dict[str, Any], proof: Dict[str, Any], message: bytes) -> None:
    """Refuses a proof that does not hold for the PAE of an approval under one key of a credential."""
    if proof["kind"] != key["kind"]:
        raise Refused(f"the proof is one of {proof['kind']}, and the key is one of {key['kind']}")
    {"file": _file, "ssh": _ssh, "ssh_sk": _ssh, "webauthn": _webauthn}[key["kind"]](key, proof, message)


def _file(key: Dict[str, Any], proof: Dict[str, Any], message: bytes) -> None:
    _verify(key, _standard64(proof["sig"]), message)


def _verify(key: Dict[str, Any], signature: bytes, message: bytes) -> None:
    public = raw64(key["pub"])
    if key["alg"] == "ed25519":
        if not _ed25519.verify(public, signature, message):
            raise Refused("the signature does not verify")
        return
    try:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
        point.verify(signature, message, ec.ECDSA(SHA256()))
    except (ValueError, InvalidSignature):
        raise Refused("the signature over P-256 does not verify") from None


class _Strings:
    """The fields of SSH's binary form (RFC 4251, section 5)."""

    def __init__(self, rest: bytes) -> None:
        self.rest = rest

    def take(self, count: int) -> bytes:
        if len(self.rest) < count:
            raise Refused("an SSH signature ends too early")
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def string(self) -> bytes:
        return self.take(int.from_bytes(self.take(4), "big"))

    def expect(self, what: bytes, name: str) -> None:
        if self.string() != what:
            raise Refused(f"another {name} in an SSH signature")

    def end(self) -> None:
        if self.rest:
            raise Refused("an SSH signature goes on behind its end")


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def _ssh(key: Dict[str, Any], proof: Dict[str, Any], message: bytes) -> None:
    algorithm, application = SSH[key["kind"]], key.get("application", "").encode()
    outer = _Strings(_standard64(proof["sig"]))
    if outer.take(6) != b"SSHSIG" or outer.take(4) != (1).to_bytes(4, "big"):
        raise Refused("not an SSH signature of version 1")
    public = _string(algorithm) + _string(raw64(key["pub"]))
    outer.expect(public + _string(application) if key["kind"] == "ssh_sk" else public, "key")
    for what, name in ((NAMESPACE, "namespace"), (b"", "reserved field"), (b"sha512", "hash")):
        outer.expect(what, name)
    inner = _Strings(outer.string())
    outer.end()
    inner.expect(algorithm, "algorithm")
    signature = inner.string()
    hashed = hashlib.sha512(message).digest()
    signed = b"SSHSIG" + b"".join(map(_string, (NAMESPACE, b"", b"sha512", hashed)))
    if key["kind"] == "ssh_sk":
        told = inner.take(5)
        if not told[0] & PRESENT:
            raise Refused("nobody was present at the security key")
        signed = digest(application) + told + digest(signed)
    inner.end()
    _verify(key, signature, signed)


def _webauthn(key: Dict[str, Any], proof: Dict[str, Any], message: bytes) -> None:
    data, client_data = _standard64(proof["authenticator_data"]), _standard64(proof["client_data"])
    if len(data) < 37 or data[:32] != digest(key["rp_id"].encode()):
        raise Refused("the authenticator's data is cut, or of another relying party")
    if (len(data) > 37) != bool(data[32] & HAS_MORE):
        raise Refused("the authenticator's data has more than its flags say, or less")
    if data[32] & (PRESENT | VERIFIED) != PRESENT | VERIFIED:
        raise Refused("nobody was present, or nobody was verified")
    try:
        said = json.loads(client_data.decode(), object_pairs_hook=_any_object)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or said.get("type") != "webauthn.get":
        raise Refused("the client's data is none of an assertion")
    if said.get("challenge") != text64(digest(b"GFP-WEBAUTHN-v1\n", message)):
        raise Refused("the challenge is another")
    framed = said.get("crossOrigin", False) is not False or said.get("topOrigin") is not None
    if said.get("origin") not in key["origins"] or framed:
        raise Refused("the assertion was made on another page, or in a frame of one")
    _verify(key, _standard64(proof["sig"]), data + digest(client_data))
