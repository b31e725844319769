#!/usr/bin/env python3
"""Drives two real bridges by their own descriptions: no fault, and no answer that the description does not have.

`LANDBRIDGE_BIN` names the program, `LANDBRIDGE_TREE` the tree. Needs what `requirements.txt` names.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request

TREE = os.environ["LANDBRIDGE_TREE"]
HERE = os.path.join(TREE, "tests", "openapi")
CHECKS = [
    "no_fault", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "allow_header_conformance", "negative_data_rejection",
    "missing_required_header",
]
EXAMPLES = int(os.environ.get("LANDBRIDGE_EXAMPLES", "15"))
# The same every time, so that a change is judged by what it changes; another one looks further.
SEED = os.environ.get("LANDBRIDGE_SEED", "1")


def relay(path):
    """A port of this machine that leads to a unix socket, as its owner."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve():
        while True:
            client, _ = listener.accept()
            bridge = socket.socket(socket.AF_UNIX)
            bridge.connect(path)
            for ends in ((client, bridge), (bridge, client)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def closed(value):
    """An answer's objects have the members that the description names, and no others."""
    if isinstance(value, dict):
        if "properties" in value and value.get("type") == "object":
            value.setdefault("additionalProperties", False)
        for member in value.values():
            closed(member)
    elif isinstance(value, list):
        for member in value:
            closed(member)


def described(url, name, place):
    """What a bridge says of itself, which must be what the specification has."""
    with urllib.request.urlopen(f"{url}/v1/openapi/{name}") as answer:
        told = json.load(answer)
    with open(os.path.join(TREE, "spec", "openapi", name)) as file:
        assert told == json.load(file), f"{name} is not that of the specification"
    closed(told["components"]["schemas"])
    path = os.path.join(place, name)
    with open(path, "w") as file:
        json.dump(told, file)
    return path


def drive(what, description, url, *further, checks=CHECKS):
    print(f"-- {what}", flush=True)
    command = [
        os.path.join(os.path.dirname(sys.executable), "st"),
        "--config-file", os.path.join(HERE, "schemathesis.toml"), "run", description, "--url", url,
        "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--continue-on-failure",
        "--no-shrink", "--seed", SEED,
        "--request-timeout", "30", "--warnings", "off", "--checks", ",".join(checks), *further,
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "checks", "PYTHONPATH": HERE}
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(command, env=environment, cwd=empty, stdin=subprocess.DEVNULL)
    return done.returncode == 0


def main():
    with tempfile.TemporaryDirectory() as place:
        pairing = subprocess.Popen(
            [sys.executable, os.path.join(TREE, "clients", "tests", "pair.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=place,
        )
        try:
            told = json.loads(pairing.stdout.readline())
            return all(list(passes(told, place)))
        finally:
            pairing.stdin.close()
            pairing.wait()


def passes(told, place):
    owner = relay(told["socket"])
    local = described(owner, "local-3.1.json", place)
    federation = described(owner, "federation-3.1.json", place)
    start = {"gateway": "eu", "prompt": "say hello", "idempotencyKey": "before-the-drive-1"}
    urllib.request.urlopen(urllib.request.Request(
        f"{owner}/v1/runs", json.dumps(start).encode(), {"Content-Type": "application/json"}
    )).close()
    # A revoked key ends what else could be tried, so that comes last.
    revoke = "/v1/admin/keys/revoke"
    yield drive("the local API, as the owner", local, owner, "--exclude-path", revoke)
    bearer = f"Authorization: Bearer {told['token']}"
    yield drive("the local API, with a token", local, told["url"], "--header", bearer)
    yield drive("the local API, as nobody", local, told["url"])
    # Nothing that is made up is signed by a peer, so that what has the right form is refused too.
    endpoint = told["endpoint"]
    yield drive("the federation plane", federation, endpoint, "--tls-verify", "false")
    yield drive("the revocation of a key", local, owner, "--include-path", revoke)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
