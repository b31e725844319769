"""One envelope, a chain that says who may sign what, and the kind that is expected. CC0 1.0."""

import base64
import json
import re

from make import ed25519
from make.base import DAY, NOW, Gateway, Key, b64u, jcs, pae, sha, sign
from make.base import spare as spare_url
from make.form import (Folder, accept, answer, catalog, credential, deciding, edited, federation, grant, list_key,
                       peer, problem, receipt, request, seal)

AT = NOW + 2 * DAY
A = Gateway(1, "https://a.example:7443")
B = deciding(17, "https://b.example:7443")
OLD, LATER = Key(33), Key(34)
POLICY = [B.key["policy"], Key(35), Key(36)]
STRANGER = Key(99)
list_key(B, "stream", OLD, exp=NOW + DAY)
list_key(B, "stream", LATER, nbf=NOW + 3 * DAY)
for one in POLICY[1:]:
    list_key(B, "policy", one, threshold=2)
B.found()

STATUS = B.status(at=AT)
DOCUMENTS = {
    "status": (STATUS, B.key["status"]),
    "request": ({**request(B, A, AT)}, B.key["request"]),
    "receipt": (receipt(B, A, AT), B.key["request"]),
    "accept": (accept(A, B, AT), B.key["stream"]),
    "seal": (seal(AT), B.key["stream"]),
    "answer": (answer(A, B, AT), B.key["stream"]),
    "problem": (problem(A, B, AT), B.key["stream"]),
    "catalog": (catalog(B, AT), B.key["catalog"]),
    "operator-credential": (credential(B, STRANGER, AT), B.key["operator-ca"]),
}


def text(envelope):
    """An envelope's one spelling."""
    return json.dumps(envelope, separators=(",", ":"))


def right(kind="status", **changes):
    document, key = DOCUMENTS[kind]
    return sign(kind, edited(document, **changes), key)


CASES = Folder({"roots": [B.root], "now": AT, "kind": "status", "envelope": text(right())})
put = CASES.put


def shorten(written):
    """A text as a list of texts and of [text, how often], where much of it is one text again and again."""
    found = max(re.finditer(r"(.{4})\1{30,}", written), key=lambda one: len(one.group()))
    unit = found.group(1)
    return [written[:found.start()], [unit, len(found.group()) // 4], written[found.end():]]


def form(name, clause, code, envelope, phase="envelope", kind="status", **members):
    written = envelope if isinstance(envelope, (str, list)) else text(envelope)
    put(name, clause, phase, code, kind=kind, envelope=written, **members)


# Nothing wrong.
for kind in DOCUMENTS:
    if kind != "status":
        form(f"kind_{kind}", "ENV-8", "ok", right(kind), kind=kind)
FEDERATION = federation(B, [peer(A)])
form("threshold_two_of_three", "ENV-11", "ok", sign("federation", FEDERATION, *POLICY[:2]), kind="federation")
form("threshold_three_of_three", "ENV-11", "ok", sign("federation", FEDERATION, *POLICY), kind="federation")
form("second_key_in_its_time", "ENV-13", "ok", sign("seal", seal(AT), LATER), kind="seal", now=NOW + 3 * DAY)
form("key_on_its_last_instant", "ENV-13", "ok", sign("seal", seal(AT), OLD), kind="seal", now=NOW + DAY - 1)
form("key_at_nbf", "ENV-13", "ok", right("seal"), kind="seal", now=NOW)
form("text_beyond_ascii", "ENV-16", "ok", right("problem", problem=edited(
    problem(A, B, AT)["problem"], detail="größer als \U0001f600, \u2028 und \x7f")), kind="problem")

# The form of an envelope.
E = right()
W = text(E)
members = {name: json.dumps(E[name], separators=(",", ":")) for name in E}


def written(*names):
    return "{" + ",".join(f'"{name}":{members[name]}' for name in names) + "}"


ORDER = ("payload", "payloadType", "signatures")
for name, wrong in (
    ("members_in_other_order", written("payloadType", "payload", "signatures")),
    ("signatures_first", written("signatures", "payload", "payloadType")),
    ("payload_twice", written("payload", *ORDER)),
    ("signatures_twice", written(*ORDER, "signatures")),
    ("payload_missing", written("payloadType", "signatures")),
    ("payload_type_missing", written("payload", "signatures")),
    ("signatures_missing", written("payload", "payloadType")),
    ("member_unknown", W[:-1] + ',"x":1}'),
    ("member_null", W[:-1] + ',"x":null}'),
    ("signature_member_unknown", W.replace('"}]}', '","x":1}]}')),
    ("signature_members_in_other_order", W.replace(
        W[W.index('{"keyid"'):-2], '{"sig":"%s","keyid":"%s"}' % (E["signatures"][0]["sig"], E["signatures"][0]["keyid"]))),
    ("keyid_missing", W.replace('"keyid":"%s",' % E["signatures"][0]["keyid"], "")),
    ("sig_missing", re.sub(r',"sig":"[^"]*"', "", W)),
    ("space_before", " " + W), ("space_after", W + " "), ("line_end_after", W + "\n"),
    ("space_after_colon", W.replace('"signatures":', '"signatures": ')),
    ("space_after_comma", W.replace(',"signatures"', ', "signatures"')),
    ("tab_inside", W.replace("[{", "[\t{")),
    ("byte_order_mark", "\ufeff" + W),
    ("two_values", W + W), ("comma_at_the_end", W[:-1] + ",}"), ("cut_short", W[:-1]), ("empty", ""),
    ("a_list", "[" + W + "]"), ("a_text", json.dumps(W)), ("null", "null"), ("a_number", "1"),
    ("payload_a_number", '{"payload":1,' + W[W.index('"payloadType"'):]),
    ("payload_an_object", '{"payload":{"v":1},' + W[W.index('"payloadType"'):]),
    ("payload_null", '{"payload":null,' + W[W.index('"payloadType"'):]),
    ("signatures_an_object", re.sub(r"\[(.*)\]", r"\1", W)),
    ("signature_a_text", re.sub(r"\[.*\]", '["x"]', W)),
    ("escaped_letter", W.replace('"payload"', '"p\\u0061yload"', 1)),
    ("escaped_slash", W.replace("application/vnd", "application\\/vnd")),
    ("half_of_a_pair", W.replace('"payload":"', '"payload":"\\ud800')),
    ("comment", W.replace("{", "{/**/", 1)), ("single_quotes", W.replace('"', "'")),
    ("name_in_capitals", W.replace('"payload"', '"Payload"')),
    ("control_character", W.replace('"payload":"', '"payload":"\x01')),
):
    form(name, "ENV-2", "malformed", wrong)

# Base64 (ENV-3). The payload of this one ends with padding.
PADDED = next(one for one in (right(refresh_ms=10**n) for n in range(4, 9)) if one["payload"].endswith("="))
SPARE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def spare(encoded):
    kept = encoded.rstrip("=")
    return kept[:-1] + SPARE[SPARE.index(kept[-1]) ^ 1] + encoded[len(kept):]


for name, payload in (
    ("without_padding", PADDED["payload"].rstrip("=")), ("with_more_padding", PADDED["payload"] + "="),
    ("with_line_end", PADDED["payload"][:76] + "\n" + PADDED["payload"][76:]),
    ("with_space", PADDED["payload"] + " "), ("with_spare_bits", spare(PADDED["payload"])),
    ("with_letter_outside", "*" + PADDED["payload"][1:]), ("of_one_letter_more", PADDED["payload"].rstrip("=") + "A==="),
    ("with_padding_inside", PADDED["payload"][:4] + "====" + PADDED["payload"][4:]),
):
    form(f"payload_{name}", "ENV-3", "malformed", {**PADDED, "payload": payload})
URL = next(one for one in (right(refresh_ms=n) for n in range(60_000, 61_000)) if {"+", "/"} <= set(one["signatures"][0]["sig"]))


def with_sig(envelope, sig):
    return {**envelope, "signatures": [{**envelope["signatures"][0], "sig": sig}]}


S = URL["signatures"][0]["sig"]
for name, sig in (
    ("in_base64url", S.replace("+", "-").replace("/", "_")), ("without_padding", S.rstrip("=")),
    ("with_spare_bits", spare(S)), ("with_line_end", S[:76] + "\n" + S[76:]), ("in_hex", base64.b64decode(S).hex()),
):
    form(f"sig_{name}", "ENV-3" if name != "in_hex" else "ENV-6", "malformed", with_sig(URL, sig))
for size in (0, 63, 65, 128):
    raw = (base64.b64decode(S) * 2)[:size]
    form(f"sig_of_{size}_bytes", "ENV-6", "malformed", with_sig(URL, base64.b64encode(raw).decode()))

# How many signatures, and in which order.
form("no_signature", "ENV-4", "malformed", {**E, "signatures": []})
many = sorted([{"keyid": b64u(sha(bytes([at]))), "sig": S} for at in range(17)], key=lambda one: one["keyid"])
form("seventeen_signatures", "ENV-4", "malformed", {**E, "signatures": many})
form("sixteen_signatures_by_nobody", "ENV-9", "verification_failed", {**E, "signatures": many[:16]}, "signature")
form("signature_twice", "ENV-5", "malformed", {**E, "signatures": E["signatures"] * 2})
TWO = sign("federation", FEDERATION, *POLICY[:2])
form("signatures_descend", "ENV-5", "malformed", {**TWO, "signatures": TWO["signatures"][::-1]}, kind="federation")
form("one_key_for_two", "ENV-5", "malformed", {**TWO, "signatures": TWO["signatures"][:1] * 2}, kind="federation")
for name, keyid in (("short", "abc"), ("of_44", "A" * 44), ("empty", ""), ("in_base64", "+" * 43), ("padded", "A" * 42 + "=")):
    form(f"keyid_{name}", "ID-3", "malformed", {**E, "signatures": [{**E["signatures"][0], "keyid": keyid}]})

form("keyid_with_spare_bits", "ENV-9", "verification_failed", {**E, "signatures": [
    {**E["signatures"][0], "keyid": spare_url(E["signatures"][0]["keyid"])}]}, "signature")

# Kinds.
KIND = "application/vnd.gfp.status.v1+json"
for name, media in (
    ("of_version_2", KIND.replace("v1", "v2")), ("in_capitals", KIND.replace("status", "Status")),
    ("with_parameter", KIND + ";charset=utf-8"), ("with_space", KIND + " "), ("empty", ""), ("json", "application/json"),
    ("of_no_kind", KIND.replace("status", "state")), ("without_suffix", KIND.replace("+json", "")),
    ("of_a_projection", KIND.replace("status", "projection")),
    ("approval_of_an_operator_changed", KIND.replace("status", "approvals")),
):
    form(f"type_{name}", "ENV-8", "malformed", sign("status", STATUS, B.key["status"], media=media))
for kind in DOCUMENTS:
    if kind != "status":
        form(f"expected_status_got_{kind}", "ENV-8", "verification_failed", right(kind), "envelope")
        form(f"expected_{kind}_got_status", "ENV-8", "verification_failed", right(), "envelope", kind=kind)
form("type_changed_after_signing", "ENV-10", "verification_failed",
     {**right("seal"), "payloadType": "application/vnd.gfp.accept.v1+json"}, "signature", kind="accept")

# Who signed.
for kind, (document, own) in DOCUMENTS.items():
    role = next(role for role, key in B.key.items() if key is own)
    for other in ("root", "stream", "request", "status", "policy", "catalog", "operator-ca"):
        if other != role and (kind in ("status", "seal") or other in ("root", "request", "stream")):
            form(f"{kind}_signed_by_{other}", "ENV-9", "verification_failed", sign(kind, document, B.key[other]),
                 "signature", kind=kind)
    form(f"{kind}_signed_by_another_gateway", "ENV-9", "verification_failed",
         sign(kind, document, A.key.get(role, A.key["root"])), "signature", kind=kind)
    forged = right(kind)
    later = base64.b64encode(jcs({**document, "v": 1, "zz": 1})).decode()
    form(f"{kind}_payload_replaced", "ENV-10", "verification_failed", {**forged, "payload": later}, "signature", kind=kind)
form("also_signed_by_a_stranger", "ENV-9", "verification_failed", sign("status", STATUS, B.key["status"], STRANGER), "signature")
form("also_signed_by_another_role", "ENV-9", "verification_failed",
     sign("status", STATUS, B.key["status"], B.key["request"]), "signature")
form("keyid_of_another_key", "ENV-10", "verification_failed", {**right("seal"), "signatures": [
    {**right("seal")["signatures"][0], "keyid": LATER.kid}]}, "signature", kind="seal", now=NOW + 3 * DAY)
form("threshold_one_of_two", "ENV-11", "verification_failed", sign("federation", FEDERATION, POLICY[0]), "signature",
     kind="federation")
TWO = sign("federation", FEDERATION, *POLICY[:2])
THREE = sign("federation", FEDERATION, *POLICY)
form("threshold_third_forged", "ENV-10", "verification_failed", {**THREE, "signatures": [
    *THREE["signatures"][:2], {**THREE["signatures"][2], "sig": TWO["signatures"][0]["sig"]}]}, "signature", kind="federation")
form("threshold_second_forged", "ENV-10", "verification_failed", {**TWO, "signatures": [
    TWO["signatures"][0], {**TWO["signatures"][1], "sig": TWO["signatures"][0]["sig"]}]}, "signature", kind="federation")
form("threshold_second_a_stranger", "ENV-9", "verification_failed", sign("federation", FEDERATION, POLICY[0], STRANGER),
     "signature", kind="federation")
form("key_before_nbf", "ENV-13", "verification_failed", sign("seal", seal(AT), LATER), "signature", kind="seal",
     now=NOW + 3 * DAY - 1)
form("key_at_exp", "ENV-13", "verification_failed", sign("seal", seal(AT), OLD), "signature", kind="seal", now=NOW + DAY)
form("key_after_exp", "ENV-13", "verification_failed", sign("seal", seal(AT), OLD), "signature", kind="seal")
form("second_signature_by_a_key_after_exp", "ENV-13", "verification_failed", sign("seal", seal(AT), B.key["stream"], OLD),
     "signature", kind="seal")
for name, signed in (
    ("payload_alone", jcs(STATUS)), ("payload_in_base64", base64.b64encode(jcs(STATUS))),
    ("pae_of_another_version", pae(KIND, jcs(STATUS)).replace(b"DSSEv1", b"DSSEv2", 1)),
    ("pae_without_lengths", b"DSSEv1 " + KIND.encode() + b" " + jcs(STATUS)),
    ("pae_of_the_base64", pae(KIND, base64.b64encode(jcs(STATUS)))),
    ("its_digest", sha(pae(KIND, jcs(STATUS)))), ("pae_with_leading_zero", pae(KIND, jcs(STATUS)).replace(b" 34 ", b" 034 ", 1)),
    ("pae_and_line_end", pae(KIND, jcs(STATUS)) + b"\n"),
):
    sig = base64.b64encode(B.key["status"].secret.sign(signed)).decode()
    form(f"signature_over_{name}", "ENV-10", "verification_failed", with_sig(E, sig), "signature")

# Ed25519 (ENV-12): the equation holds in each of these for somebody.
MESSAGE = pae(KIND, jcs(STATUS))
SEED = 17 + 3
RAW = base64.b64decode(E["signatures"][0]["sig"])
EIGHT = ed25519.torsion()
NONCE = 123_456_789


def signed_with(r, nonce):
    return ed25519.sign_with(SEED, B.key["status"].public, MESSAGE, r, nonce)


S_OF = int.from_bytes(RAW[32:], "little")
assert signed_with(ed25519.encode(ed25519.times(NONCE, ed25519.BASE)), NONCE)
form("own_nonce", "ENV-12", "ok", with_sig(E, base64.b64encode(
    signed_with(ed25519.encode(ed25519.times(NONCE, ed25519.BASE)), NONCE)).decode()))
EDGES = [
    ("s_and_group_order", RAW[:32] + (S_OF + ed25519.L).to_bytes(32, "little")),
    ("s_and_twice_group_order", RAW[:32] + (S_OF + 2 * ed25519.L).to_bytes(32, "little")),
    ("s_and_seven_times_group_order", RAW[:32] + (S_OF + 7 * ed25519.L).to_bytes(32, "little")),
    ("s_is_group_order", RAW[:32] + ed25519.L.to_bytes(32, "little")),
    ("s_with_highest_bit", RAW[:63] + bytes([RAW[63] | 0x80])),
    ("s_negated", RAW[:32] + (ed25519.L - S_OF).to_bytes(32, "little")),
    ("s_zero", RAW[:32] + bytes(32)), ("all_zero", bytes(64)), ("all_ones", b"\xff" * 64),
    ("r_with_other_sign", RAW[:31] + bytes([RAW[31] ^ 0x80]) + RAW[32:]),
    ("r_and_s_swapped", RAW[32:] + RAW[:32]),
    ("r_no_point", signed_with((2).to_bytes(32, "little"), 0)),
    ("r_identity_not_canonical", signed_with((ed25519.P + 1).to_bytes(32, "little"), 0)),
    ("r_identity_with_sign", signed_with((1 | 1 << 255).to_bytes(32, "little"), 0)),
    ("r_beyond_the_field", signed_with((2**255 - 1).to_bytes(32, "little"), 0)),
]
EDGES += [(f"r_of_small_order_{at}", signed_with(ed25519.encode(ed25519.times(at, EIGHT)), 0)) for at in range(8)]
EDGES += [(f"r_and_torsion_{at}", signed_with(ed25519.encode(ed25519.add(
    ed25519.times(NONCE, ed25519.BASE), ed25519.times(at, EIGHT))), NONCE)) for at in (1, 2, 4)]
for name, sig in EDGES:
    form(f"ed25519_{name}", "ENV-12", "verification_failed", with_sig(E, base64.b64encode(sig).decode()), "signature")


# The form of a payload, rightly signed.
def payload(name, clause, raw, kind="status", code="malformed", phase="json"):
    raw = raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")
    form(name, clause, code, sign(kind, raw, DOCUMENTS[kind][1]), phase, kind=kind)


J = jcs(STATUS).decode()
BIG = 2**53
for name, clause, raw in (
    ("space", "ENV-16", J.replace('":', '": ', 1)), ("line_end", "ENV-16", J + "\n"), ("space_first", "ENV-16", " " + J),
    ("byte_order_mark", "ENV-16", "\ufeff" + J), ("empty", "ENV-16", ""), ("two_values", "ENV-16", J + J),
    ("cut", "ENV-16", J[:-1]), ("comma_at_the_end", "ENV-16", J[:-1] + ",}"),
    ("not_sorted", "ENV-16", '{"v":1,' + J[1:].replace(',"v":1}', "}")),
    ("inner_not_sorted", "ENV-16", J.replace('"n":1,"since":%d' % NOW, '"since":%d,"n":1' % NOW)),
    ("escaped_letter", "ENV-16", J.replace('"v"', '"\\u0076"')), ("fraction_zero", "ENV-16", J.replace('"v":1}', '"v":1.0}')),
    ("exponent", "ENV-16", J.replace('"v":1}', '"v":1e0}')), ("leading_zero", "ENV-16", J.replace('"v":1}', '"v":01}')),
    ("plus_sign", "ENV-16", J.replace('"v":1}', '"v":+1}')), ("minus_zero", "ENV-16", J.replace('"size":0', '"size":-0')),
    ("hexadecimal", "ENV-16", J.replace('"v":1}', '"v":0x1}')), ("nan", "ENV-16", J.replace('"size":0', '"size":NaN')),
    ("infinity", "ENV-16", J.replace('"size":0', '"size":Infinity')),
    ("fraction", "ENV-17", J.replace('"size":0', '"size":0.5')),
    ("integer_too_large", "ENV-17", J.replace('"size":0', f'"size":{BIG}')),
    ("integer_of_20_digits", "ENV-17", J.replace('"size":0', '"size":18446744073709551616')),
    ("integer_too_small", "ENV-17", J.replace('"size":0', f'"size":-{BIG}')),
    ("large_exponent", "ENV-17", J.replace('"size":0', '"size":1e999')),
    ("member_not_ascii", "ENV-17", J[:-1] + ',"ä":1}'),
    ("member_not_ascii_escaped", "ENV-17", J[:-1] + ',"\\u00e4":1}'),
    ("member_twice", "ENV-19", J[:-1] + ',"v":1}'), ("member_twice_first_other", "ENV-19", J.replace('"v":1}', '"v":2,"v":1}')),
    ("member_twice_inside", "ENV-19", J.replace('"size":0', '"size":0,"size":0')),
    ("member_twice_escaped", "ENV-19", J[:-1] + ',"\\u0076":1}'),
    ("depth_17", "ENV-18", J[:-1] + ',"z":' + "[" * 16 + "]" * 16 + "}"),
    ("depth_17_of_objects", "ENV-18", J[:-1] + ',"z":' + '{"a":' * 15 + "{}" + "}" * 15 + "}"),
    ("not_json", "ENV-16", "gfp"), ("comment", "ENV-16", J.replace("{", "{/**/", 1)),
):
    payload(f"payload_{name}", clause, raw)
form("payload_depth_10000", "ENV-18", "malformed", shorten(text(sign(
    "status", (J[:-1] + ',"z":' + "[" * 9999 + "]" * 9999 + "}").encode(), B.key["status"]))), "json")
R = jcs(DOCUMENTS["request"][0]).decode()
for name, said in (
    ("half_of_a_pair", "\\ud800"), ("other_half_of_a_pair", "\\udc00"), ("pair_turned_around", "\\udc00\\ud800"),
    ("pair_escaped", "\\ud83d\\ude00"), ("control_unescaped", "\x01"), ("line_end_unescaped", "\n"),
    ("line_end_as_u", "\\u000a"), ("slash_escaped", "\\/"), ("upper_hex", "\\u001F"), ("delete_escaped", "\\u007f"),
    ("unknown_escape", "\\x41"), ("letter_escaped", "\\u0041"), ("zero_unescaped", "\0"),
):
    payload(f"payload_text_{name}", "ENV-16", R.replace("Say hello.", said), kind="request")
for name, said in (("half_of_a_pair_in_utf8", b"\xed\xa0\x80"), ("utf8_overlong", b"\xc0\xaf"), ("utf8_cut", b"\xc3"),
                   ("utf8_beyond_unicode", b"\xf4\x90\x80\x80"), ("latin1", b"\xe4")):
    payload(f"payload_text_{name}", "ENV-16", R.encode().replace(b"Say hello.", said), kind="request")
for name, said in (("line_end", "\\n"), ("control", "\\u001f"), ("pair", "\U0001f600"), ("slash", "/"), ("delete", "\x7f"),
                   ("quote", '\\"'), ("line_separator", "\u2028"), ("not_normalised", "a\u0308"), ("zero", "\\u0000")):
    payload(f"text_{name}_in_its_one_spelling", "ENV-16", R.replace("Say hello.", said), kind="request", code="ok")

# Members (ENV-19).
for kind in ("accept", "seal", "receipt", "catalog", "operator-credential", "answer", "problem"):
    form(f"{kind}_member_unknown", "ENV-19", "malformed", right(kind, zz=1), "payload", kind=kind)
    form(f"{kind}_version_2", "ENV-19", "malformed", right(kind, v=2), "payload", kind=kind)
    form(f"{kind}_version_missing", "ENV-19", "malformed", right(kind, v=None), "payload", kind=kind)
for name, clause, changes in (
    ("iss_missing", "ENV-19", {"iss": None}), ("seq_a_text", "ENV-19", {"seq": str(AT)}), ("seq_true", "ENV-19", {"seq": True}),
    ("revoked_missing", "ENV-19", {"revoked": None}), ("iss_in_capitals", "ID-3", {"iss": B.gid.upper()}),
    ("iss_short", "ID-3", {"iss": B.gid[:-1]}), ("iss_with_digit_9", "ID-3", {"iss": "gw1-9" + B.gid[5:]}),
    ("root_digest_short", "ENV-19", {"root": "abc"}), ("audit_size_negative", "ENV-19", {"audit": {"head": b64u(sha(b"")), "size": -1}}),
    ("audit_member_unknown", "ENV-19", {"audit": {"head": b64u(sha(b"")), "size": 0, "x": 1}}),
    ("reason_unknown", "ENV-19", {"revoked": [{"kid": STRANGER.kid, "reason": "lost", "since": NOW}]}),
    ("life_a_day_and_more", "ID-17", {"expires": AT + DAY + 1}), ("life_zero", "ID-17", {"expires": AT}),
    ("seq_not_issued", "ID-17", {"seq": AT + 1}),
):
    form(f"status_{name}", clause, "malformed", right(**changes), "payload")
form("payload_not_an_object", "ENV-19", "malformed", sign("status", b"[]", B.key["status"]), "payload")
form("payload_null_signed", "ENV-19", "malformed", sign("status", b"null", B.key["status"]), "payload")
form("payload_empty_object", "ENV-19", "malformed", sign("status", b"{}", B.key["status"]), "payload")


# Sizes.
def prompting(size):
    document = request(B, A, AT)
    document["body"]["prompt"] = ""
    document["body"]["prompt"] = "x" * (size - len(jcs(document)))
    return shorten(text(sign("request", document, B.key["request"])))


#: Spaces belong nowhere; how many bytes there are comes first.
BYTES_MAX = 1_406_296
form("bytes_as_many_as_may_be", "ENV-2", "malformed", [W, [" ", BYTES_MAX - len(W)]])
form("bytes_too_many", "ENV-7", "too_large", [W, [" ", BYTES_MAX + 1 - len(W)]])
form("request_as_large_as_it_may_be", "ENV-7", "ok", prompting(1_048_576), kind="request")
form("request_too_large", "ENV-7", "too_large", prompting(1_048_577), "envelope", kind="request")
form("envelope_too_large", "ENV-7", "too_large", prompting(1_060_000), "envelope", kind="request")


def granting(size):
    """A federation document of so many bytes."""
    names, last = [f"a{at:04}".ljust(100, "x") for at in range(610)], ""
    document = federation(B, [peer(A, [grant(agents=names)])])
    last = size - len(jcs(document))
    while last > 28 or last < 4:
        names = names[:-1] if last < 4 else [*names, f"a{len(names):04}".ljust(100, "x")]
        document = federation(B, [peer(A, [grant(agents=names)])])
        last = size - len(jcs(document))
        if 0 <= last <= 103:
            break
    agents = [names[0] + "y" * min(last, 28), *names[1:]]
    for at in range(1, len(agents)):
        last -= min(last, 28)
        agents[at] += "y" * min(last, 28)
    document = federation(B, [peer(A, [grant(agents=agents)])])
    assert len(jcs(document)) == size, len(jcs(document)) - size
    return sign("federation", document, *POLICY[:2])


form("document_as_large_as_it_may_be", "ENV-7", "ok", granting(65_536), kind="federation")
form("document_too_large", "ENV-7", "too_large", granting(65_537), "envelope", kind="federation")
