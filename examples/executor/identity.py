"""A new gateway: its keys, its first root, and the certificate whose key the root pins (identity.md)."""

import datetime
import ipaddress
import json
import os
import secrets
import time
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import wire
from wire import Key, b64u, sha

DAY = 86_400_000


def make(home, url):
    """Writes the keys into a new folder; gives what the store begins with."""
    os.makedirs(home, mode=0o700)
    host = urllib.parse.urlsplit(url).hostname
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "executor")])
    try:
        other = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        other = x509.DNSName(host)
    today = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=400)).add_extension(x509.SubjectAlternativeName([other]), False)
        .sign(private, hashes.SHA256()))
    spki = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    keys = {role: Key(secrets.token_bytes(32)) for role in ("root", "stream", "request", "status", "policy")}
    now = int(time.time() * 1000)
    ends = {role: now + (400 if role in ("root", "policy") else 180) * DAY for role in keys}  # ID-55
    root = wire.sign("root", {
        "endpoints": [{"tls_spki": b64u(sha(spki)), "url": url}], "expires": now + 400 * DAY, "issued": now,
        "keys": {key.kid: {"alg": "ed25519", "exp": ends[role], "nbf": now, "pub": b64u(key.public)} for role, key in keys.items()},
        "min_proto": 1, "roles": {role: {"keyids": [key.kid], "threshold": 1} for role, key in keys.items()}, "v": 1, "version": 1,
    }, keys["root"])
    gid = wire.gateway_id(root.digest)
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files = {"tls.pem": pem + certificate.public_bytes(serialization.Encoding.PEM)}
    for file, roles in (("offline.json", ("root", "policy")), ("online.json", ("stream", "request", "status"))):
        files[file] = json.dumps({role: keys[role].seed.hex() for role in roles}).encode()
    for file, data in files.items():
        with open(os.open(os.path.join(home, file), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
            out.write(data)
    federation = wire.sign("federation", {"iss": gid, "issued": now, "peers": [], "roots": [], "v": 1, "version": 1}, keys["policy"])
    return {"root": root.text, "federation": federation.text, "incarnation": 1, "since": now, "clock": now}
