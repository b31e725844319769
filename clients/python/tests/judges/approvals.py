"""Catalogs, approval requests and decisions, as the gateway judges them that receives them (`spec/approvals.md`)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from landbridge._form import DOCUMENT_BYTES_MAX, Envelope, Malformed, Refused, _standard64, digest, read, text64, write

from . import forms, proofs
from .hold import data
from .standing import CLOCK_SKEW_MS_MAX, Gateway, Refusal, envelope_of, formed

CATALOG_LIFE_MS_MAX = CREDENTIAL_LIFE_MS_MAX = APPROVAL_LIFE_MS_MAX = forms.DAY_MS
SCOPES_MAX = 64
PROOF_BYTES_MAX = 8_192
#: What a proof has to be for each kind of key.
PROOFS = {"file": "APR-19", "ssh": "APR-20", "ssh_sk": "APR-20", "webauthn": "APR-21"}


def _refused(clause: str, why: str, phase: str = "approval") -> Refusal:
    return Refusal(clause, "approval_refused", phase, why)


@contextmanager
def _refuses() -> Iterator[None]:
    """Whatever does not hold in here is refused with one code (APR-14, APR-53)."""
    try:
        yield
    except Refusal as refusal:
        raise _refused(refusal.clause, str(refusal), refusal.phase) from None


def newest(
    sender: Gateway, envelope: Envelope, tenant: str, kept: Optional[Dict[str, Any]], now: int, phase: str
) -> Dict[str, Any]:
    """A catalog that may be kept (APR-1, APR-4)."""
    said: Dict[str, Any] = sender.verify(envelope, "catalog", "catalog", now)
    names = [scope["name"] for scope in said["scopes"]]
    if names != sorted(set(names)) or len(names) > SCOPES_MAX:
        raise Refusal("APR-1", "malformed", "payload", "scopes out of order, twice, or too many")
    if not 1 <= said["expires"] - said["issued"] <= CATALOG_LIFE_MS_MAX:
        raise Refusal("APR-1", "malformed", "payload", "the catalog's life")
    if (said["iss"], said["tenant"]) != (sender.gid, tenant):
        raise Refusal("APR-4", "verification_failed", phase, "another gateway's or another tenant's catalog")
    if kept is not None and said["version"] <= kept["version"] and text64(envelope.digest) != kept["digest"]:
        raise Refusal("APR-4", "verification_failed", phase, "older than the catalog that is kept, or as old and another")
    return said


def catalog(vector: Dict[str, Any]) -> str:
    """What a gateway takes for the catalog that it asked for (APR-1, APR-4)."""
    now = vector["now"]
    sender = Gateway.known(vector["roots"], now)
    sender.take_status(vector["status"], now)
    newest(sender, envelope_of(vector["catalog"]), vector["tenant"], vector["kept"], now, "catalog")
    return "accepted"


def ask(vector: Dict[str, Any]) -> str:
    """What a deciding gateway takes for a question (APR-14)."""
    now, subject = vector["now"], data(vector["subject"])
    sender = Gateway.known(vector["relying"], now)
    sender.take_status(vector["status"], now)
    with _refuses():
        said = sender.verify(envelope_of(vector["request"]), "approval-request", "request", now)
    if not 1 <= said["expires"] - said["issued"] <= APPROVAL_LIFE_MS_MAX:
        raise _refused("APR-14", "the request's life", "payload")
    if (said["iss"], said["aud"], said["tenant"]) != (sender.gid, vector["gateway"], vector["tenant"]):
        raise _refused("APR-14", "of other gateways or tenants than those of the exchange", "ask")
    if said["issued"] > now + CLOCK_SKEW_MS_MAX or said["expires"] <= now:
        raise _refused("APR-14", "the request has expired, or is of the future", "ask")
    if (said["subject"]["size"], said["subject"]["digest"]) != (len(subject), text64(digest(b"GFP-SUBJECT-v1\n", subject))):
        raise _refused("APR-14", "about other bytes", "ask")
    return "accepted"


class Decided(NamedTuple):
    """A decision that is good: who made it and how, and how many people are needed where it counts."""

    decision: str
    sub: str
    kid: str
    needed: int
    #: The catalog that came with it.
    kept: Dict[str, Any]


class Question:
    """What a relying gateway asked, and what it knows of the gateway that decides."""

    def __init__(self, vector: Dict[str, Any]) -> None:
        self.now: int = vector["now"]
        self.kept, self.projections = vector["kept"], vector["projections"]
        envelope = envelope_of(vector["request"])
        relying = Gateway.known(vector["relying"], self.now)
        self.request = relying.verify(envelope, "approval-request", "request", self.now)
        self.digest = text64(envelope.digest)
        self.deciding = Gateway.known(vector["roots"], vector["at"], self.request["aud"])
        self.deciding.take_status(vector["status"], vector["at"])

    @property
    def ended(self) -> bool:
        return bool(self.request["expires"] <= self.now)

    def judge(self, said: Any) -> Decided:
        """Judges one decision, each part once those hold on which it depends."""
        catalog, credential = _opened(said)
        if self.ended:
            raise Refusal("APR-25", "already_resolved", "approval", "the request has ended")
        with _refuses():
            return self._judge(said["approval"], catalog, credential)

    def _judge(self, signed: Dict[str, Any], listing: Envelope, issued: Envelope) -> Decided:
        catalog = newest(self.deciding, listing, self.request["tenant"]["deciding"], self.kept, self.now, "projection")
        credential = self._credential(issued)
        key = self._key(signed["proof"]["kid"], credential)
        approval = self._approval(signed, key)
        self._fits(approval, credential, text64(issued.digest))
        self._lives(approval, credential)
        needed = self._needed(approval, key["kind"], catalog)
        kept = {"version": catalog["version"], "digest": text64(listing.digest)}
        return Decided(approval["decision"], approval["sub"], key["kid"], needed, kept)

    def _outside(self, begins: int, ends: int) -> bool:
        """Whether a life has not begun, also by the issuer's clock, which may be ahead, or is over by ours (text after APR-17)."""
        return begins > self.now + CLOCK_SKEW_MS_MAX or ends <= self.now

    def _credential(self, envelope: Envelope) -> Dict[str, Any]:
        said: Dict[str, Any] = self.deciding.verify(envelope, "operator-credential", "operator-ca", self.now)
        life = said["expires"] - said["issued"]
        if self._outside(said["issued"], said["expires"]) or not 1 <= life <= CREDENTIAL_LIFE_MS_MAX:
            raise _refused("APR-11", "the credential's life")
        return said

    def _key(self, kid: str, credential: Dict[str, Any]) -> Dict[str, Any]:
        for key in credential["keys"]:
            if key["kid"] == kid and kid not in self.deciding.revoked:
                return dict(key)
        raise _refused("APR-12", "the signing key is not listed, or is revoked")

    def _approval(self, signed: Dict[str, Any], key: Dict[str, Any]) -> Dict[str, Any]:
        """The payload of an approval, once its proof holds."""
        payload = _standard64(signed["payload"])
        try:
            proofs.prove(key, signed["proof"], proofs.pae(payload))
        except Refused as fault:
            raise _refused(PROOFS[key["kind"]], str(fault), "signature") from None
        with formed("ENV-16", "json"):
            said: Dict[str, Any] = read(payload)
        with formed("ENV-19", "payload"):
            forms.approval(said)
        return said

    def _fits(self, approval: Dict[str, Any], credential: Dict[str, Any], credential_digest: str) -> None:
        """Whether approval, request and credential are about each other (APR-11, APR-12, APR-17)."""
        request, said = self.request, approval
        asked = (request["aud"], request["iss"], request["tenant"], self.digest, request["subject"]["digest"])
        if (said["iss"], said["aud"], said["tenant"], said["request"], said["subject"]) != asked:
            raise _refused("APR-17", "of another question")
        if said["scope"] not in request["scopes"]:
            raise _refused("APR-17", "a scope that was not asked")
        if (credential["iss"], credential["tenant"], credential["sub"]) != (said["iss"], said["tenant"]["deciding"], said["sub"]):
            raise _refused("APR-11", "the credential of another gateway, tenant or person")
        if said["credential"] != credential_digest:
            raise _refused("APR-11", "made with another credential")
        if said["scope"] not in credential["scopes"]:
            raise _refused("APR-12", "a scope that the person does not hold")
        if request["requester"] == {"gateway": said["iss"], "principal": said["sub"]}:
            raise _refused("APR-22", "the requester decides")

    def _lives(self, approval: Dict[str, Any], credential: Dict[str, Any]) -> None:
        life = approval["exp"] - approval["iat"]
        if self._outside(approval["iat"], approval["exp"]) or not 1 <= life <= APPROVAL_LIFE_MS_MAX:
            raise _refused("APR-18", "the approval's life")
        if approval["iat"] + CLOCK_SKEW_MS_MAX < max(self.request["issued"], credential["issued"]):
            raise _refused("APR-18", "from before its request or its credential")

    def _needed(self, approval: Dict[str, Any], method: str, catalog: Dict[str, Any]) -> int:
        """How many people are needed by the way on which an approval counts (APR-6 to APR-9, APR-40)."""
        request, tenant = self.request, approval["tenant"]
        way = (tenant["relying"], request["scope"], tenant["deciding"], approval["scope"])
        ways = {(one["local"], one["local_scope"], one["remote"], one["remote_scope"]): one for one in self.projections}
        scopes = {scope["name"]: scope for scope in catalog["scopes"]}
        if way not in ways:
            raise _does_not_count("APR-6", "no projection")
        projection, scope = ways[way], scopes.get(approval["scope"])
        if scope is None or projection["entry"] != text64(digest(b"GFP-SCOPE-v1\n", write(scope))):
            raise _does_not_count("APR-7", "the catalog has another entry")
        if self._outside(catalog["issued"], catalog["expires"]):
            raise _does_not_count("APR-7", "the catalog's life")
        rules, subject = projection["constraints"], request["subject"]
        if not projection["nbf"] <= self.now < projection["exp"]:
            raise _does_not_count("APR-8", "the projection's life")
        if subject["kind"] not in rules["subject_kinds"] or (subject["binding"] == "observed" and not rules["observed"]):
            raise _does_not_count("APR-8", "the subject")
        if method not in rules["methods"] or approval["exp"] - approval["iat"] > rules["max_ttl_ms"]:
            raise _does_not_count("APR-8", "the method, or the approval's life")
        if method not in scope["assurance"]["methods"]:
            raise _does_not_count("APR-40", "a kind of key that the scope does not list")
        return int(max(rules["min_signers"], scope["assurance"]["min_signers"]))


def _opened(said: Any) -> Tuple[Envelope, Envelope]:
    """Catalog and credential of a decision that has its form (APR-52)."""
    try:
        proofs.decision(said)
        catalog, credential = (envelope_of(said[part]) for part in ("catalog", "credential"))
    except (Malformed, Refusal) as fault:
        raise Refusal("APR-52", "malformed", "envelope", str(fault)) from None
    signed = said["approval"]
    if len(_standard64(signed["payload"])) > DOCUMENT_BYTES_MAX or proofs.size(signed["proof"]) > PROOF_BYTES_MAX:
        raise Refusal("APR-52", "malformed", "envelope", "the payload or its proof is too large")
    return catalog, credential


def _does_not_count(clause: str, why: str) -> Refusal:
    return _refused(clause, why, "projection")


def decision(vector: Dict[str, Any]) -> str:
    """What a relying gateway takes for one decision (APR-6 to APR-8, APR-11, APR-12, APR-17 to APR-21, APR-40)."""
    Question(vector).judge(vector["decision"])
    return "accepted"


def tally(vector: Dict[str, Any]) -> str:
    """What several decisions come to, in the order in which they arrive (APR-9, APR-22, APR-23, APR-25)."""
    question = Question(vector)
    if question.ended:
        raise Refusal("APR-25", None, "count", "the request has ended", verdict="denied")
    counted: List[Dict[str, Any]] = []
    for one in vector["decisions"]:
        decided = _good(question, one)
        if decided is None:
            continue
        if decided.decision == "deny":
            raise Refusal("APR-23", None, "count", "denied", verdict="denied")
        # What was counted before is judged again, by the catalog that is the newest now.
        again = [_good(question, {**old, "catalog": one["catalog"]}) for old in counted]
        before = [old for old in again if old is not None]
        if any(old.sub == decided.sub or old.kid == decided.kid for old in before):
            continue
        counted.append(one)
        question.kept = decided.kept
        needed = max(question.request["quorum"], decided.needed, *(old.needed for old in before))
        if len(before) + 1 >= needed:
            return "approved"
    raise Refusal("APR-9", None, "count", "too few approved", verdict="undecided")


def _good(question: Question, said: Any) -> Optional[Decided]:
    try:
        return question.judge(said)
    except Refusal:
        return None
