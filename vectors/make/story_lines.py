"""Transcripts with a fault in a line, an envelope or a signature. CC0 1.0."""

from make.base import Key, b64u, jcs, sha, sign
from make.story import case, raw_case, text_case, envelope_case

# Nothing wrong.

case("whole", "STR-36", "none", 0)(lambda story: None)


@text_case("receipt_missing", "STR-36", 0)
def _(lines):
    return lines[:-1]


@text_case("statuses_missing", "STR-36", 0)
def _(lines):
    return lines[:3] + lines[5:]


@text_case("cut_after_first_seal", "STR-36", 5)
def _(lines):
    return lines[:10]


@text_case("cut_after_header", "STR-36", 5)
def _(lines):
    return lines[:1]


@text_case("cut_before_final_seal", "STR-36", 5)
def _(lines):
    return lines[:11]


@text_case("cut_in_last_line", "STR-36", 4)
def _(lines):
    return b"\n".join(lines)


@text_case("empty_file", "STR-36", 4)
def _(lines):
    return b""


@text_case("empty_line_at_end", "STR-36", 4)
def _(lines):
    return lines + [b""]


@text_case("crlf", "STR-34", 4)
def _(lines):
    return [line + b"\r" for line in lines]


@text_case("byte_order_mark", "STR-34", 4)
def _(lines):
    return [b"\xef\xbb\xbf" + lines[0]] + lines[1:]


@text_case("unknown_line", "STR-34", 4)
def _(lines):
    return lines[:5] + [b'{"type":"what","value":1}'] + lines[5:]


@text_case("header_of_version_2", "STR-34", 4)
def _(lines):
    return [lines[0].replace(b'"v":1', b'"v":2')] + lines[1:]


@text_case("header_member_unknown", "ENV-19", 4)
def _(lines):
    return [lines[0].replace(b'"type"', b'"note":1,"type"')] + lines[1:]


@text_case("header_twice", "STR-34", 4)
def _(lines):
    return lines[:1] + lines


@text_case("header_run_is_another", "STR-36", 2)
def _(lines):
    return [lines[0].replace(b"run-aaaq", b"run-aaaa")] + lines[1:]


@text_case("header_run_missing", "STR-36", 2)
def _(lines):
    return [lines[0].replace(b'"run":"run-aaaqeayeaudaocajbifqydiob4",', b"")] + lines[1:]


@text_case("white_space_in_line", "ENV-16", 4)
def _(lines):
    return lines[:7] + [lines[7].replace(b'"type":', b'"type": ')] + lines[8:]


@text_case("roots_in_other_order", "STR-34", 4)
def _(lines):
    return lines[:1] + [lines[2], lines[1]] + lines[3:]


@text_case("executor_root_missing", "STR-34", 4)
def _(lines):
    return lines[:2] + lines[3:]


@text_case("root_twice", "ID-5", 2)
def _(lines):
    return lines[:3] + lines[2:]


@text_case("status_twice", "ID-18", 2)
def _(lines):
    return lines[:4] + lines[3:]


@text_case("request_missing", "STR-34", 4)
def _(lines):
    return lines[:5] + lines[6:]


@text_case("request_twice", "STR-34", 4)
def _(lines):
    return lines[:6] + lines[5:]


@text_case("accept_missing", "STR-34", 4)
def _(lines):
    return lines[:6] + lines[7:]


@text_case("accept_twice", "STR-34", 4)
def _(lines):
    return lines[:7] + lines[6:]


@text_case("frame_missing", "STR-6", 2)
def _(lines):
    return lines[:7] + lines[8:]


@text_case("frame_twice", "STR-6", 2)
def _(lines):
    return lines[:8] + lines[7:]


@text_case("frames_swapped", "STR-6", 2)
def _(lines):
    return lines[:7] + [lines[8], lines[7]] + lines[9:]


@text_case("seal_twice", "STR-34", 4)
def _(lines):
    return lines[:10] + lines[9:]


@text_case("seal_early", "STR-11", 2)
def _(lines):
    return lines[:8] + [lines[9], lines[8]] + lines[10:]


@text_case("first_seal_missing", "STR-9", 0)
def _(lines):
    return lines[:9] + lines[10:]


@text_case("final_seal_missing", "STR-36", 2)
def _(lines):
    return lines[:11] + lines[12:]


@text_case("receipt_twice", "STR-34", 4)
def _(lines):
    return lines + lines[-1:]


@text_case("receipt_before_seal", "STR-34", 2)
def _(lines):
    return lines[:11] + [lines[12], lines[11]]


@text_case("frame_text_changed", "STR-10", 2)
def _(lines):
    return lines[:8] + [lines[8].replace(b"Hello", b"hello")] + lines[9:]


@text_case("frame_members_in_other_order", "STR-5", 4)
def _(lines):
    line = jcs({"type": "frame", "value": '{"event":"output","payload":{},"seq":2}'})
    return lines[:8] + [line] + lines[9:]


@text_case("frame_with_white_space", "STR-5", 4)
def _(lines):
    line = jcs({"type": "frame", "value": '{"seq":2,"event":"output", "payload":{}}'})
    return lines[:8] + [line] + lines[9:]


@text_case("frame_payload_not_sorted", "STR-5", 4)
def _(lines):
    line = jcs({"type": "frame", "value": '{"seq":2,"event":"output","payload":{"text":"a","channel":"answer"}}'})
    return lines[:8] + [line] + lines[9:]


@text_case("frame_payload_with_fraction", "ENV-17", 4)
def _(lines):
    line = jcs({"type": "frame", "value": '{"seq":2,"event":"output","payload":{"a":1.5}}'})
    return lines[:8] + [line] + lines[9:]


@text_case("frame_payload_a_list", "STR-5", 4)
def _(lines):
    line = jcs({"type": "frame", "value": '{"seq":2,"event":"output","payload":[]}'})
    return lines[:8] + [line] + lines[9:]


@text_case("frame_seq_zero", "STR-6", 2)
def _(lines):
    return lines[:7] + [lines[7].replace(b'seq\\":1', b'seq\\":0')] + lines[8:]


for name, value in (
    ("frame_event_half_of_a_pair", '{"seq":2,"event":"\\ud800","payload":{}}'),
    ("frame_payload_half_of_a_pair", '{"seq":2,"event":"x","payload":{"a":"\\udc00"}}'),
    ("frame_payload_escaped_letter", '{"seq":2,"event":"x","payload":{"a":"\\u0061"}}'),
    ("frame_payload_escaped_slash", '{"seq":2,"event":"x","payload":{"a":"\\/"}}'),
    ("frame_payload_member_twice", '{"seq":2,"event":"x","payload":{"a":1,"a":1}}'),
    ("frame_payload_minus_zero", '{"seq":2,"event":"x","payload":{"a":-0}}'),
    ("frame_payload_leading_zero", '{"seq":2,"event":"x","payload":{"a":01}}'),
    ("frame_payload_large_exponent", '{"seq":2,"event":"x","payload":{"a":1e999}}'),
    ("frame_payload_nan", '{"seq":2,"event":"x","payload":{"a":NaN}}'),
    ("frame_payload_control_unescaped", '{"seq":2,"event":"x","payload":{"a":"\t"}}'),
    ("frame_payload_upper_hex", '{"seq":2,"event":"x","payload":{"a":"\\u001F"}}'),
    ("frame_event_a_number", '{"seq":2,"event":2,"payload":{}}'),
    ("frame_member_unknown", '{"seq":2,"event":"x","payload":{},"z":1}'),
    ("frame_seq_a_text", '{"seq":"2","event":"x","payload":{}}'),
    ("frame_empty", ""),
):

    @text_case(name, "STR-5", 4)
    def _(lines, value=value):
        return lines[:8] + [jcs({"type": "frame", "value": value})] + lines[9:]


@text_case("frame_not_a_text", "STR-34", 4)
def _(lines):
    return lines[:8] + [jcs({"type": "frame", "value": {"seq": 2}})] + lines[9:]


# Envelopes.


@envelope_case("no_signature", "ENV-4")
def _(envelope):
    envelope["signatures"] = []


@envelope_case("seventeen_signatures", "ENV-4")
def _(envelope):
    one = envelope["signatures"][0]
    envelope["signatures"] = [{**one, "keyid": b64u(sha(bytes([at])))} for at in range(17)]
    envelope["signatures"].sort(key=lambda one: one["keyid"])


@envelope_case("signature_twice", "ENV-5")
def _(envelope):
    envelope["signatures"] *= 2


@envelope_case("signatures_descend", "ENV-5")
def _(envelope):
    one = envelope["signatures"][0]
    envelope["signatures"] = [one, {**one, "keyid": "-" * 43}]


@envelope_case("sig_of_63_bytes", "ENV-6")
def _(envelope):
    import base64

    raw = base64.b64decode(envelope["signatures"][0]["sig"])[:63]
    envelope["signatures"][0]["sig"] = base64.b64encode(raw).decode()


@envelope_case("payload_base64_without_padding", "ENV-3", at="seal")
def _(envelope):
    envelope["payload"] = envelope["payload"].rstrip("=")
    assert len(envelope["payload"]) % 4


@envelope_case("payload_base64url", "ENV-3")
def _(envelope):
    envelope["signatures"][0]["sig"] = envelope["signatures"][0]["sig"].replace("+", "-").replace("/", "_")


@envelope_case("sig_base64_spare_bits", "ENV-3")
def _(envelope):
    sig = envelope["signatures"][0]["sig"]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    envelope["signatures"][0]["sig"] = sig[:-3] + letters[letters.index(sig[-3]) ^ 1] + "=="


@envelope_case("kind_unknown", "ENV-8")
def _(envelope):
    envelope["payloadType"] = "application/vnd.gfp.accept.v2+json"


@envelope_case("envelope_member_unknown", "ENV-2")
def _(envelope):
    envelope["x"] = 1


@envelope_case("envelope_member_missing", "ENV-2")
def _(envelope):
    del envelope["payloadType"]


@envelope_case("keyid_short", "ENV-9")
def _(envelope):
    envelope["signatures"][0]["keyid"] = "abc"


@envelope_case("keyid_of_no_key", "ENV-9", 2)
def _(envelope):
    envelope["signatures"][0]["keyid"] = b64u(sha(b"nobody"))


@envelope_case("signature_of_other_bytes", "ENV-10", 2)
def _(envelope):
    envelope["payload"] = sign("accept", {"v": 1}, Key(18))["payload"]


@envelope_case("kind_is_another", "ENV-8", 4)
def _(envelope):
    envelope["payloadType"] = "application/vnd.gfp.seal.v1+json"


for place, kind in (("root", "status"), ("status", "root"), ("request", "receipt"), ("seal", "accept"), ("receipt", "request")):

    @envelope_case(f"kind_of_{place}_is_{kind}", "ENV-8", 4, at=place)
    def _(envelope, kind=kind):
        envelope["payloadType"] = f"application/vnd.gfp.{kind}.v1+json"


def signed_by(part, role, side="b"):
    def make(story):
        story.keys[part] = (getattr(story, side).key[role],)

    return make


for part, role, side in (
    ("accept", "request", "b"), ("accept", "status", "b"), ("seal", "request", "b"), ("final seal", "root", "b"),
    ("request", "stream", "a"), ("receipt", "stream", "a"), ("executor status", "root", "b"),
    ("caller status", "stream", "a"), ("accept", "stream", "a"), ("request", "request", "b"),
):
    name = f"{part.replace(' ', '_')}_signed_by_{role}_of_{side}"
    case(name, "ENV-9", "signature", 2)(signed_by(part, role, side))


def also_signed(story):
    story.keys["accept"] = (story.b.key["stream"], story.b.key["request"])


case("accept_with_a_second_signature", "ENV-9", "signature", 2)(also_signed)

# Ed25519 (ENV-12): signatures that some libraries take.

L = 2**252 + 27742317777372353535851937790883648493


@envelope_case("sig_s_not_reduced", "ENV-12", 2)
def _(envelope):
    import base64

    raw = base64.b64decode(envelope["signatures"][0]["sig"])
    s = int.from_bytes(raw[32:], "little") + L
    envelope["signatures"][0]["sig"] = base64.b64encode(raw[:32] + s.to_bytes(32, "little")).decode()


for name, point in (
    ("identity", (1).to_bytes(32, "little")),
    ("order_2", (2**255 - 20).to_bytes(32, "little")),
    ("order_4", bytes(32)),
    ("identity_not_canonical", (2**255 - 18).to_bytes(32, "little")),
    ("no_point", (2).to_bytes(32, "little")),
    ("negative_zero", bytes([1] + [0] * 30 + [0x80])),
):

    @envelope_case(f"sig_r_{name}", "ENV-12", 2)
    def _(envelope, point=point):
        import base64

        raw = base64.b64decode(envelope["signatures"][0]["sig"])
        envelope["signatures"][0]["sig"] = base64.b64encode(point + raw[32:]).decode()


# Payloads: rightly signed, and not of the form.

for part in ("accept", "request", "seal", "receipt", "executor status"):
    short = part.replace(" ", "_")
    raw_case(f"{short}_with_white_space", "ENV-16", part, lambda raw: raw.replace(b'"v":1', b'"v": 1'))
    raw_case(f"{short}_with_fraction", "ENV-17", part, lambda raw: raw.replace(b'"v":1', b'"v":1.0'))
    raw_case(f"{short}_with_exponent", "ENV-17", part, lambda raw: raw.replace(b'"v":1', b'"v":1e0'))
    raw_case(f"{short}_member_twice", "ENV-19", part, lambda raw: raw.replace(b'"v":1', b'"v":1,"v":1'))
    raw_case(f"{short}_member_unknown", "ENV-19", part, lambda raw: raw.replace(b'"v":1', b'"v":1,"w":1'))
    raw_case(f"{short}_not_sorted", "ENV-16", part, lambda raw: b'{"v":1,' + raw[1:].replace(b',"v":1}', b"}"))
    raw_case(f"{short}_escaped_member", "ENV-16", part, lambda raw: raw.replace(b'"v":1', b'"\\u0076":1'))
    raw_case(f"{short}_member_not_ascii", "ENV-17", part, lambda raw: raw.replace(b'"v":1', '"v":1,"ä":1'.encode()))
    raw_case(f"{short}_nested_too_deep", "ENV-18", part, lambda raw: raw.replace(b'"v":1', b'"v":1,"w":' + b"[" * 40 + b"]" * 40))
    raw_case(f"{short}_integer_too_large", "ENV-17", part, lambda raw: raw.replace(b'"v":1', b'"v":9007199254740992'))
    raw_case(f"{short}_v_true", "ENV-19", part, lambda raw: raw.replace(b'"v":1', b'"v":true'))
    raw_case(f"{short}_version_2", "ENV-19", part, lambda raw: raw.replace(b'"v":1', b'"v":2'))
    raw_case(f"{short}_not_utf8", "ENV-16", part, lambda raw: raw.replace(b'"v":1', b'"v":"\xff"'))
    raw_case(f"{short}_cut", "ENV-16", part, lambda raw: raw[:-1])
    raw_case(f"{short}_trailing", "ENV-16", part, lambda raw: raw + b"\n")
    raw_case(f"{short}_a_list", "ENV-19", part, lambda raw: b"[" + raw + b"]")
