"""Proofs by SSH keys, security keys and passkeys, added to the approvals. CC0 1.0."""

import base64
import hashlib
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from make.approvals import ALICE, BOB, CASES, MEDIA, NO, by_kid, decided, form, held, listed, projection, respelled
from make.base import Key, b64u, pae, sha
from make.form import edited, operator_key, scope

METHODS = ["file", "ssh", "ssh_sk", "webauthn"]
ANY = scope(assurance={"methods": METHODS, "min_signers": 1})
THROUGH = {"projections": [projection(ANY, constraints={"methods": METHODS})]}
LISTING = listed(scopes=[ANY])
PLAIN, ON_KEY = b"ssh-ed25519", b"sk-ssh-ed25519@openssh.com"
NAMESPACE, APPLICATION = b"approval.v1@gfp", b"ssh:"
ORIGIN, RP = "https://console.b.example", "b.example"
#: Of P-256.
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def put(name, clause, code, decision, phase="signature", **members):
    CASES.put(name, clause, phase, code, decision=decision, **THROUGH, **members)


def proven(prove, key=ALICE, listed_key=None, kind="ssh", kid=None, proof=None, **members):
    """A decision whose proof `prove` makes of the PAE; the credential lists `listed_key`."""
    shown = held(keys=[listed_key or operator_key(key, kind, **members)])
    decision = decided(shown=shown, listing=LISTING, key=ALICE)
    made = prove(pae(MEDIA, base64.b64decode(decision["approval"]["payload"])))
    made = {"sig": made} if isinstance(made, bytes) else made
    encoded = {name: base64.b64encode(raw).decode() for name, raw in made.items()}
    decision["approval"]["proof"] = dict(sorted({**encoded, "kid": kid or key.kid, "kind": kind, **(proof or {})}.items()))
    return decision


# SSH (OpenSSH, PROTOCOL.sshsig and PROTOCOL.u2f).


def string(raw):
    return len(raw).to_bytes(4, "big") + raw


def blob(key, name=PLAIN, application=None):
    return string(name) + string(key.public) + (b"" if application is None else string(application))


def sshsig(message, key=ALICE, namespace=NAMESPACE, reserved=b"", hashed="sha512", over=None, version=1, magic=b"SSHSIG", of=None,
           name=PLAIN, blob_name=PLAIN, wrap=None, raw=None, said=None, inside=b"", behind_key=b""):
    digest = hashlib.new(over or hashed, message).digest()
    signed = magic + string(namespace) + string(reserved) + string(hashed.encode()) + string(digest)
    signature = string(name) + string(raw or key.secret.sign(signed)) + inside
    shown = string(blob(of or key, blob_name) + behind_key) + string(said or namespace) + string(reserved) + string(hashed.encode())
    made = magic + version.to_bytes(4, "big") + shown + string(signature)
    return wrap(made) if wrap else made


def by_security_key(message, flags=1, counter=7, application=APPLICATION, told=None, said=None, namespace=NAMESPACE, hashed="sha512",
                    inside=b""):
    digest = hashlib.new(hashed, message).digest()
    inner = b"SSHSIG" + string(namespace) + string(b"") + string(hashed.encode()) + string(digest)
    whole = sha(application) + bytes([flags]) + counter.to_bytes(4, "big") + sha(inner)
    flags, counter = said or (flags, counter)
    signature = string(ON_KEY) + string(ALICE.secret.sign(whole)) + bytes([flags]) + counter.to_bytes(4, "big") + inside
    return (b"SSHSIG" + (1).to_bytes(4, "big") + string(blob(ALICE, ON_KEY, application if told is None else told)) + string(namespace)
            + string(b"") + string(hashed.encode()) + string(signature))


def armoured(raw):
    return b"-----BEGIN SSH SIGNATURE-----\n" + base64.encodebytes(raw) + b"-----END SSH SIGNATURE-----\n"


def ssh(name, code="refused", /, **how):
    put(f"ssh_{name}", "APR-20", "ok" if code == "ok" else NO, proven(lambda message: sshsig(message, **how)))


ssh("holds", "ok")
for name, how in (
    ("in_the_namespace_of_files", {"namespace": b"file"}), ("in_the_namespace_of_git", {"namespace": b"git"}), ("in_no_namespace", {"namespace": b""}),
    ("in_a_later_namespace", {"namespace": b"approval.v2@gfp"}), ("in_a_namespace_that_goes_on", {"namespace": NAMESPACE + b"x"}),
    ("namespace_changed_after_signing", {"namespace": b"file", "said": NAMESPACE}),
    ("something_reserved", {"reserved": b"x"}), ("hash_sha256", {"hashed": "sha256"}), ("hash_of_another_name", {"over": "sha256"}),
    ("hash_sha1", {"hashed": "sha1"}), ("of_version_2", {"version": 2}), ("of_version_0", {"version": 0}), ("of_another_magic", {"magic": b"SSHSIX"}),
    ("by_another_key", {"key": BOB}), ("by_another_key_under_its_name", {"key": BOB, "of": ALICE}), ("of_another_key_in_its_place", {"of": BOB}),
    ("signature_of_another_algorithm", {"name": b"ssh-rsa"}), ("key_of_another_algorithm", {"blob_name": b"ssh-rsa"}),
    ("key_a_certificate", {"blob_name": b"ssh-ed25519-cert-v01@openssh.com"}), ("signature_of_63_bytes", {"raw": bytes(63)}),
    ("signature_of_zeros", {"raw": bytes(64)}), ("armoured", {"wrap": armoured}), ("with_a_byte_more", {"wrap": lambda raw: raw + b"\0"}),
    ("with_a_byte_less", {"wrap": lambda raw: raw[:-1]}), ("without_magic", {"wrap": lambda raw: raw[6:]}), ("magic_alone", {"wrap": lambda raw: raw[:6]}),
    ("empty", {"wrap": lambda raw: b""}), ("twice", {"wrap": lambda raw: raw + raw}),
    ("with_a_byte_more_inside", {"inside": b"\0"}), ("with_a_byte_more_behind_its_key", {"behind_key": b"\0"}),
):
    ssh(name, **how)
put("ssh_over_the_payload", "APR-20", NO, proven(lambda message: sshsig(message[message.index(b"{"):])))
put("ssh_over_the_digest", "APR-20", NO, proven(lambda message: sshsig(sha(message))))
put("ssh_over_another_kind", "APR-20", NO, proven(lambda message: sshsig(message.replace(b"approval", b"receipts", 1))))
put("ssh_key_signs_as_a_file", "APR-20", NO, proven(lambda message: ALICE.secret.sign(message)))
put("ssh_key_with_a_proof_of_a_file", "APR-20", NO, proven(lambda message: ALICE.secret.sign(message), proof={"kind": "file"}))
put("file_key_with_a_proof_of_ssh", "APR-19", NO, proven(sshsig, listed_key=operator_key(ALICE)))
put("ssh_by_a_security_key", "APR-20", NO, proven(by_security_key))
put("ssh_with_a_kid_of_nobody", "APR-12", NO, proven(sshsig, kid=Key(99).kid), "approval")


def sk(name, code="refused", application="ssh:", **how):
    decision = proven(lambda message: by_security_key(message, **how), kind="ssh_sk", application=application)
    put(f"ssh_sk_{name}", "APR-20", "ok" if code == "ok" else NO, decision)


sk("holds", "ok")
sk("by_a_verified_person", "ok", flags=5)
put("ssh_sk_of_an_application_of_its_own", "APR-20", "ok", proven(
    lambda message: by_security_key(message, application=b"ssh:gfp"), kind="ssh_sk", application="ssh:gfp"))
for name, how in (
    ("nobody_was_present", {"flags": 0}), ("nobody_was_present_but_verified", {"flags": 4}), ("flags_changed_after_signing", {"flags": 0, "said": (1, 7)}),
    ("counter_changed_after_signing", {"said": (1, 8)}), ("application_changed_after_signing", {"told": b"ssh:gfp"}),
    ("in_another_namespace", {"namespace": b"file"}), ("hash_sha256", {"hashed": "sha256"}), ("with_a_byte_more_inside", {"inside": b"\0"}),
):
    sk(name, **how)
put("ssh_sk_of_another_application", "APR-20", NO, proven(
    lambda message: by_security_key(message, application=b"ssh:other"), kind="ssh_sk", application="ssh:"))
put("ssh_sk_of_an_application_whose_name_goes_on", "APR-20", NO, proven(
    lambda message: by_security_key(message, application=b"ssh:gfp"), kind="ssh_sk", application="ssh:"))
put("ssh_sk_by_a_plain_key", "APR-20", NO, proven(sshsig, kind="ssh_sk", application="ssh:"))

# Passkeys (W3C Web Authentication).


class Point:
    """A key of P-256."""

    def __init__(self, seed):
        self.secret = ec.derive_private_key(seed, ec.SECP256R1())
        self.public = self.secret.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.kid = b64u(sha(b"GFP-KEY-v1\nes256\n", self.public))

    def sign(self, message):
        return self.secret.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


PASSKEY, ANOTHER = Point(70), Point(71)


def passkey(key=PASSKEY, **changes):
    alg = "es256" if isinstance(key, Point) else "ed25519"
    return edited({"alg": alg, "kid": key.kid, "kind": "webauthn", "origins": [ORIGIN], "pub": b64u(key.public), "rp_id": RP}, **changes)


def assertion(message, key=PASSKEY, rp=RP, flags=5, data=None, over=None, sign_with=None, text=None, text_of=None, **changes):
    said = {"type": "webauthn.get", "challenge": b64u(sha(b"GFP-WEBAUTHN-v1\n", message)), "origin": ORIGIN, "crossOrigin": False}
    said = {name: value for name, value in {**said, **changes}.items() if value is not None}
    client = json.dumps(said, separators=(",", ":")).encode() if text is None else text
    client = text_of(client) if text_of else client
    data = sha(rp.encode()) + bytes([flags]) + (9).to_bytes(4, "big") if data is None else data
    signed = over(data, client) if over else data + sha(client)
    sig = key.sign(signed) if isinstance(key, Point) else key.secret.sign(signed)
    return {"authenticator_data": data, "client_data": client, "sig": sign_with(sig) if sign_with else sig}


def web(name, code=NO, listed_key=None, key=PASSKEY, kid=None, clause="APR-21", phase="signature", **how):
    decision = proven(lambda message: assertion(message, key, **how), kind="webauthn", listed_key=listed_key or passkey(key), kid=kid or key.kid)
    put(f"webauthn_{name}", clause, code, decision, phase)


def numbers(der):
    """r and s side by side, as other formats write them."""
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(der))


def other_s(der):
    """The other of the two values of s that hold."""
    number, s = decode_dss_signature(der)
    return encode_dss_signature(number, ORDER - s)


def high_s(der):
    return der if decode_dss_signature(der)[1] > ORDER // 2 else other_s(der)


def low_s(der):
    return der if decode_dss_signature(der)[1] <= ORDER // 2 else other_s(der)


def twice(member, value):
    """The client's data with one member twice, the right value last."""
    return lambda text: text.replace(b"{", b'{"%b":%b,' % (member.encode(), json.dumps(value).encode()), 1)


web("holds", "ok")
web("by_an_ed25519_key", "ok", key=ALICE)
web("on_the_second_of_two_pages", "ok", listed_key=passkey(origins=["https://b.example", ORIGIN]))
web("without_a_word_on_frames", "ok", crossOrigin=None)
web("with_a_member_of_a_later_browser", "ok", other_keys_can_be_added_here="do not compare clientDataJSON against a template")
web("with_backup_flags", "ok", flags=0x1D)
web("with_a_high_s", "ok", sign_with=high_s)
web("with_a_low_s", "ok", sign_with=low_s)
web("data_with_extensions", "ok", data=sha(RP.encode()) + b"\x85" + bytes(4) + b"\xa0")
web("data_with_the_key_of_a_registration", "ok", data=sha(RP.encode()) + b"\x45" + bytes(4) + bytes(18))
web("without_a_top_page", "ok", text_of=lambda text: text[:-1] + b',"topOrigin":null}')
web("with_white_space_in_the_client_data", "ok", text_of=lambda text: text.replace(b",", b", "))
for name, how in (
    ("data_with_a_byte_more", {"data": sha(RP.encode()) + b"\5" + bytes(5)}),
    ("data_without_the_extensions_that_it_tells", {"data": sha(RP.encode()) + b"\x85" + bytes(4)}),
    ("data_without_the_key_that_it_tells", {"data": sha(RP.encode()) + b"\x45" + bytes(4)}),
    ("frame_told_as_a_text", {"crossOrigin": "false"}), ("frame_told_as_a_number", {"crossOrigin": 0}),
    ("frame_told_as_null", {"text_of": lambda text: text.replace(b'"crossOrigin":false', b'"crossOrigin":null')}),
    ("with_a_top_page_alone", {"topOrigin": "https://evil.example"}), ("with_its_own_page_as_top_page", {"topOrigin": ORIGIN}),
    ("type_twice", {"text_of": twice("type", "webauthn.create")}), ("challenge_twice", {"text_of": twice("challenge", b64u(bytes(32)))}),
    ("origin_twice", {"text_of": twice("origin", "https://evil.example")}), ("frame_told_twice", {"text_of": twice("crossOrigin", True)}),
    ("top_page_told_twice", {"text_of": lambda text: text[:-1] + b',"topOrigin":null,"topOrigin":null}'}),
    ("client_data_with_something_behind", {"text_of": lambda text: text + b"{}"}),
):
    web(name, **how)
for name, changes in (
    ("a_registration", {"type": "webauthn.create"}), ("a_payment", {"type": "payment.get"}), ("without_type", {"type": None}),
    ("challenge_of_zeros", {"challenge": b64u(bytes(32))}), ("without_challenge", {"challenge": None}), ("challenge_empty", {"challenge": ""}),
    ("on_another_page", {"origin": "https://evil.example"}), ("on_a_page_below", {"origin": "https://x.console.b.example"}),
    ("on_a_page_whose_name_goes_on", {"origin": ORIGIN + ".evil.example"}), ("over_http", {"origin": ORIGIN.replace("https", "http")}),
    ("on_another_port", {"origin": ORIGIN + ":8443"}), ("on_the_page_and_a_slash", {"origin": ORIGIN + "/"}), ("in_capitals", {"origin": ORIGIN.upper()}),
    ("on_the_page_of_its_rp_id", {"origin": "https://" + RP}), ("without_origin", {"origin": None}),
    ("in_a_frame", {"crossOrigin": True}), ("in_a_frame_of_another_page", {"crossOrigin": True, "topOrigin": "https://evil.example"}),
):
    web(name, **changes)
for name, flags in (("nobody_was_present", 4), ("nobody_was_verified", 1), ("neither_present_nor_verified", 0)):
    web(name, flags=flags)
for name, how in (
    ("of_another_rp_id", {"rp": "evil.example"}), ("of_a_longer_rp_id", {"rp": "console.b.example"}), ("of_no_rp_id", {"rp": ""}),
    ("data_cut", {"data": (sha(RP.encode()) + b"\5" + bytes(3))}), ("data_without_flags", {"data": sha(RP.encode())}), ("data_empty", {"data": b""}),
    ("client_data_no_json", {"text": b"gfp"}), ("client_data_empty", {"text": b""}), ("client_data_a_list", {"text": b"[]"}),
    ("over_the_client_data_itself", {"over": lambda data, client: data + client}), ("over_the_data_alone", {"over": lambda data, client: data}),
    ("over_the_client_data_first", {"over": lambda data, client: sha(client) + data}),
    ("signature_as_two_numbers", {"sign_with": numbers}), ("signature_cut", {"sign_with": lambda sig: sig[:-1]}),
    ("signature_with_a_byte_more", {"sign_with": lambda sig: sig + b"\0"}), ("signature_empty", {"sign_with": lambda sig: b""}),
    ("signature_of_zeros", {"sign_with": lambda sig: bytes.fromhex("3006020100020100")}),
):
    web(name, **how)
web("by_another_key", listed_key=passkey(PASSKEY), key=ANOTHER, kid=PASSKEY.kid)
web("by_a_key_that_is_not_listed", listed_key=passkey(PASSKEY), key=ANOTHER, clause="APR-12", phase="approval")
web("by_another_ed25519_key", listed_key=passkey(ALICE), key=BOB, kid=ALICE.kid)
web("ed25519_in_place_of_es256", listed_key=passkey(PASSKEY), key=ALICE, kid=PASSKEY.kid)
web("es256_in_place_of_ed25519", listed_key=passkey(ALICE), key=PASSKEY, kid=ALICE.kid)


def challenging(name, made):
    put(f"webauthn_{name}", "APR-21", NO, proven(lambda message: assertion(message, challenge=made(message)), kind="webauthn",
                                               listed_key=passkey(), kid=PASSKEY.kid))


challenging("challenge_without_tag", lambda message: b64u(sha(message)))
challenging("challenge_of_the_payload", lambda message: b64u(sha(b"GFP-WEBAUTHN-v1\n", message[message.index(b"{"):])))
challenging("challenge_of_another_approval", lambda message: b64u(sha(b"GFP-WEBAUTHN-v1\n", message + b" ")))
challenging("challenge_padded", lambda message: b64u(sha(b"GFP-WEBAUTHN-v1\n", message)) + "=")
challenging("challenge_in_standard_base64", lambda message: base64.b64encode(sha(b"GFP-WEBAUTHN-v1\n", message)).decode())
challenging("challenge_in_hexadecimal", lambda message: sha(b"GFP-WEBAUTHN-v1\n", message).hex())
put("webauthn_key_signs_as_a_file", "APR-21", NO, proven(lambda message: PASSKEY.sign(message), kind="webauthn", listed_key=passkey(),
                                                      kid=PASSKEY.kid, proof={"kind": "file"}))
put("file_key_with_a_proof_of_webauthn", "APR-19", NO, proven(lambda message: assertion(message, ALICE), kind="webauthn", listed_key=operator_key(ALICE)))
web("data_changed_after_signing", over=lambda data, client: data[:-1] + b"\x0a" + sha(client))
web("client_data_changed_after_signing", over=lambda data, client: data + sha(client.replace(b"console", b"consola")))

# Keys of the credential whose members are not those of their kind.
SHORT = Point(72)
SHORT.public = SHORT.secret.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
SHORT.kid = b64u(sha(b"GFP-KEY-v1\nes256\n", SHORT.public))
OFF = Point(73)
OFF.public = OFF.public[:-1] + bytes([OFF.public[-1] ^ 1])
OFF.kid = b64u(sha(b"GFP-KEY-v1\nes256\n", OFF.public))
HYBRID = Point(74)
HYBRID.public = bytes([6 + (HYBRID.public[-1] & 1)]) + HYBRID.public[1:]
HYBRID.kid = b64u(sha(b"GFP-KEY-v1\nes256\n", HYBRID.public))
PAGES = [f"https://{at}.b.example" for at in range(9)]
for name, clause, listed_key in (
    ("without_origins", "ENV-19", passkey(origins=None)), ("without_rp_id", "ENV-19", passkey(rp_id=None)),
    ("with_no_origin", "ENV-19", passkey(origins=[])), ("with_an_application", "ENV-19", passkey(application="ssh:")),
    ("under_another_name", "ID-1", passkey(kid=ANOTHER.kid)), ("of_another_algorithm", "ENV-19", passkey(alg="es384")),
    ("origins_descend", "ENV-19", passkey(origins=[ORIGIN, "https://b.example"])), ("origin_twice", "ENV-19", passkey(origins=[ORIGIN, ORIGIN])),
    ("with_nine_origins", "ENV-19", passkey(origins=sorted([*PAGES[:8], ORIGIN]))), ("origin_empty", "ENV-19", passkey(origins=["", ORIGIN])),
    ("origin_of_257", "ENV-19", passkey(origins=[ORIGIN, "https://" + "x" * 249])), ("rp_id_empty", "ENV-19", passkey(rp_id="")),
    ("rp_id_of_257", "ENV-19", passkey(rp_id="x" * 257)),
):
    web(f"key_{name}", listed_key=listed_key, clause=clause, kid=listed_key["kid"], phase="payload")
web("key_with_eight_origins", "ok", listed_key=passkey(origins=sorted([*PAGES[:7], ORIGIN])))
web("key_a_compressed_point", key=SHORT, clause="ENV-19", phase="payload")
web("key_a_hybrid_point", key=HYBRID, clause="ENV-19", phase="payload")
web("key_no_point", key=OFF)
put("webauthn_beside_a_key_that_is_no_point", "APR-21", "ok", decided(
    shown=held(keys=by_kid(operator_key(ALICE), passkey(OFF))), listing=LISTING))
for name, kind, changes in (("ssh_key_with_an_application", "ssh", {"application": "ssh:"}), ("ssh_key_with_origins", "ssh", {"origins": [ORIGIN]}),
                            ("ssh_sk_key_without_application", "ssh_sk", {}), ("ssh_sk_key_of_an_empty_application", "ssh_sk", {"application": ""}),
                            ("ssh_sk_key_of_an_application_of_257", "ssh_sk", {"application": "x" * 257})):
    put(name, "ENV-19", NO, proven(sshsig if kind == "ssh" else by_security_key, kind=kind, **changes), "payload")
put("ssh_key_of_p256", "ENV-19", NO, proven(sshsig, listed_key=edited(passkey(), kind="ssh", origins=None, rp_id=None), kid=PASSKEY.kid), "payload")


# How large a proof may be, and how it is spelled.
def filled(size):
    """A passkey's proof of so many bytes, most of them the client's data."""

    def made(message):
        room = size - sum(map(len, assertion(message, ALICE).values()))
        return assertion(message, ALICE, text_of=lambda text: text + b" " * room)

    return proven(made, kind="webauthn", listed_key=passkey(ALICE))


put("webauthn_proof_as_long_as_may_be", "APR-52", "ok", filled(8192))
form("form_proof_longer_than_may_be", filled(8193))
form("form_ssh_proof_longer_than_may_be", proven(lambda message: sshsig(message) + bytes(8192)))
SPELLED = proven(assertion, kind="webauthn", listed_key=passkey(), kid=PASSKEY.kid)
SPELLED["approval"]["proof"]["authenticator_data"] = respelled(SPELLED["approval"]["proof"]["authenticator_data"])
form("form_authenticator_data_in_a_second_spelling", SPELLED)
