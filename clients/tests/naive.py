"""A client of the local API as one writes it in ten minutes. It is wrong in many ways, and the conformance kit has to say so."""

import json
import sys
import urllib.error
import urllib.request

task = json.loads(sys.stdin.readline())


def tell(**line):
    print(json.dumps(line), flush=True)


def ask(method, path, body=None):
    headers = {"Authorization": f"Bearer {task['token']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    return urllib.request.urlopen(urllib.request.Request(task["url"] + path, data, headers, method=method), timeout=0.3)


def follow(run, after):
    for attempt in range(3):
        try:
            for line in ask("GET", f"/v1/runs/{run}/frames?after={after}"):
                if line.startswith(b"data: "):
                    frame = json.loads(line[6:])
                    if "seq" in frame:
                        tell(frame={"seq": frame["seq"], "line": line[6:].decode().strip()})
            return
        except OSError:
            pass


def perform():
    run = task.get("run")
    if "start" in task:
        started = json.load(ask("POST", "/v1/runs", {**task["start"], "mode": "session"}))
        tell(run=started)
        run = started["run"]
    if task["do"].endswith("follow"):
        follow(run, task.get("after", 0))
    elif task["do"] == "show":
        tell(run=json.load(ask("GET", f"/v1/runs/{run}")))
    elif task["do"] == "list":
        for one in json.load(ask("GET", "/v1/runs"))["runs"]:
            tell(run=one)
    elif task["do"] == "cancel":
        ask("POST", f"/v1/runs/{run}/cancel", {})
        tell(cancel="requested")
    elif task["do"] == "transcript":
        tell(transcript=ask("GET", f"/v1/runs/{run}/transcript").read1().decode())


try:
    perform()
except urllib.error.HTTPError as refusal:
    print(f"refused, with {task['token']}", file=sys.stderr)
    tell(end="problem", code=json.loads(refusal.read() or b"{}").get("code"))
except (OSError, ValueError, LookupError, TypeError):
    tell(end="ok")
else:
    tell(end="ok")
