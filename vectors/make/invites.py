"""The text of an invite, and the roots that its endpoint gives. CC0 1.0."""

from make.base import DAY, NOW, Gateway, Key, b64u, dsse_digest, jcs, sha, sign, spare
from make.form import HOUR, Folder, edited
from make.walks import Walk, rotate

A = Gateway(1, "https://a.example:7443")
OTHER = Gateway(17, "https://b.example:7443")
TWO = Walk().next(lambda document: rotate(document, "stream", Key(2), Key(51)))
THREE = Walk().next(lambda document: rotate(document, "stream", Key(2), Key(51))).next()
FORKED = Walk().next(lambda document: rotate(document, "stream", Key(2), Key(53)))
AT = NOW + 2 * DAY + HOUR
SECRET = bytes(range(32))
VF = "verification_failed"


def document(**changes):
    return edited({
        "endpoint": {"tls_spki": b64u(sha(b"certificate")), "url": "https://a.example:7443"}, "expires": AT + DAY,
        "genesis": b64u(dsse_digest(A.root)), "root": b64u(dsse_digest(TWO.roots[1])), "root_version": 2, "secret": b64u(SECRET), "v": 1,
    }, **changes)


def check(raw):
    return b64u(sha(b"GFP-INVITE-TEXT-v1\n", raw))[:6]


def text(raw=None, shown=None, prefix="gfp1:", **changes):
    raw = jcs(document(**changes)) if raw is None else raw
    return prefix + b64u(raw) + "." + (check(raw) if shown is None else shown)


CASES = Folder({"text": text(), "roots": TWO.roots, "now": AT})
CASES.clause = "ID-73"
T, J = text(), jcs(document())


def put(name, clause, code, written, phase="text", **members):
    CASES.put(name, clause, phase, code, text=written, **members)


# Nothing wrong.
put("without_tls_spki", "ID-73", "ok", text(endpoint={"url": "https://a.example:7443"}))
put("in_lines_of_64", "ID-73", "ok", "\n".join(T[at:at + 64] for at in range(0, len(T), 64)) + "\n")
put("in_lines_of_a_mail", "ID-73", "ok", "  " + "\r\n\t".join(T[at:at + 40] for at in range(0, len(T), 40)))
put("with_space_everywhere", "ID-73", "ok", " ".join(T))
put("of_the_first_root", "ID-33", "ok", text(root=b64u(dsse_digest(A.root)), root_version=1))
put("shown_a_later_root", "ID-33", "ok", T, roots=THREE.roots)

put("on_its_last_instant", "ID-73", "ok", text(expires=AT + 1))

# The text.
for name, written in (
    ("empty", ""), ("prefix_alone", "gfp1:"), ("no_prefix", T[5:]), ("prefix_of_another_version", text(prefix="gfp2:")),
    ("prefix_in_capitals", text(prefix="GFP1:")), ("no_check", T[:-7]), ("no_check_after_the_dot", T[:-6]), ("check_of_five", T[:-1]),
    ("check_of_seven", T + b64u(sha(b"GFP-INVITE-TEXT-v1\n", J))[6]), ("check_of_another_document", text(shown=check(jcs(document(v=2))))),
    ("check_without_prefix", text(shown=b64u(sha(J))[:6])), ("check_over_the_text", text(shown=check(b64u(J).encode()))),
    ("check_in_capitals", T[:-6] + T[-6:].swapcase()), ("cut_at_its_end", T[:-20]), ("cut_in_its_middle", T[:80] + T[100:]),
    ("character_changed", T[:60] + ("A" if T[60] != "A" else "B") + T[61:]), ("two_characters_swapped", T[:6] + T[7] + T[6] + T[8:]),
    ("padded", text().replace(".", "==.")), ("in_the_other_base64", T[:5] + T[5:-7].replace("J", "+", 1) + T[-7:]),
    ("dot_twice", T.replace(".", "..")), ("something_after_it", T + ".x"), ("in_quotes", '"' + T + '"'), ("in_brackets", "<" + T + ">"),
    ("with_a_hard_space", T[:50] + "\u00a0" + T[50:]), ("with_a_space_of_no_width", T[:50] + "\u200b" + T[50:]), ("hyphenated", T[:50] + "-\n" + T[50:]),
):
    put(f"text_{name}", "ID-73", None, written)

# How long the text is counts before what it holds; no right document makes one of this length.
assert len(text(J.ljust(759))) == 1024
put("text_of_1026_characters", "ID-73", None, text(J.ljust(760)))
put("document_of_a_text_of_1024_characters", "ENV-16", None, "\n".join(text(J.ljust(759))), "document")
put("expired", "ID-73", None, text(expires=AT - 1), "document")
put("at_its_end", "ID-73", None, text(expires=AT), "document")

# The document, whose check is right.
for name, clause, raw in (
    ("with_space", "ENV-16", J.replace(b'":', b'": ', 1)), ("member_twice", "ENV-19", J.replace(b'"v":1}', b'"v":1,"v":1}')),
    ("not_sorted", "ENV-16", b'{"v":1,' + J[1:].replace(b',"v":1}', b"}")), ("no_json", "ENV-16", b"gfp"), ("empty", "ENV-16", b""),
    ("a_list", "ENV-19", b"[]"), ("an_empty_object", "ENV-19", b"{}"),
):
    put(f"document_{name}", clause, None, text(raw), "document")
for name, changes in (
    ("of_a_later_form", {"v": 2}), ("member_unknown", {"note": "x"}), ("without_secret", {"secret": None}), ("without_endpoint", {"endpoint": None}),
    ("without_expires", {"expires": None}), ("expires_a_text", {"expires": str(AT)}), ("secret_of_31_bytes", {"secret": b64u(SECRET[:31])}),
    ("secret_of_33_bytes", {"secret": b64u(SECRET + b"x")}), ("root_version_zero", {"root_version": 0}), ("root_short", {"root": "abc"}),
    ("genesis_short", {"genesis": "abc"}), ("endpoint_over_http", {"endpoint": {"url": "http://a.example:7443"}}),
    ("endpoint_with_a_path", {"endpoint": {"url": "https://a.example:7443/federation"}}),
    ("endpoint_with_a_name", {"endpoint": {"url": "https://me@a.example:7443"}}), ("endpoint_a_text", {"endpoint": "https://a.example:7443"}),
):
    put(f"document_{name}", "ENV-19", None, text(**changes), "document")
put("document_secret_with_spare_bits", "ENV-19", None, text(secret=spare(b64u(SECRET))), "document")

# The roots that its endpoint gives (ID-33).
put("roots_of_another_gateway", "ID-33", VF, T, "root", roots=[OTHER.root])
put("roots_end_before_the_one_it_names", "ID-33", VF, T, "root", roots=[A.root])
put("roots_with_another_second", "ID-33", VF, T, "root", roots=FORKED.roots)
put("roots_without_the_first", "ID-33", VF, T, "root", roots=TWO.roots[1:])
put("genesis_of_another", "ID-33", VF, text(genesis=b64u(dsse_digest(OTHER.root))), "root")
put("root_of_another_version", "ID-33", VF, text(root_version=1), "root")
put("root_of_nobody", "ID-33", VF, text(root=b64u(sha(b"root"))), "root")
put("root_version_beyond", "ID-33", VF, text(root_version=3), "root")
put("root_signed_by_another", "ID-6", VF, T, "root", roots=[A.root, sign("root", TWO.document, OTHER.key["root"])])
put("newest_root_expired", "ID-9", VF, text(expires=NOW + 600 * DAY), "root", now=NOW + 500 * DAY)
