"""Starts a run, prints what happens, and checks the transcript.

    python examples/run.py eu "Summarise the incident." --pin gw1-…
"""

import argparse
import sys
import uuid

from landbridge import Client, verify

arguments = argparse.ArgumentParser()
arguments.add_argument("gateway")
arguments.add_argument("prompt")
arguments.add_argument("--agent")
arguments.add_argument("--pin")
arguments.add_argument("--key", help="the decision to start this; the same key finds the same run")
given = arguments.parse_args()

client = Client()
key = given.key or f"example-{uuid.uuid4()}"
run = client.start(given.gateway, key, prompt=given.prompt, agent=given.agent)
print(f"{run['run']} by key {key}", file=sys.stderr)
for frame in client.stream(run["run"]):
    if frame.event == "output":
        print(frame.payload.get("text", ""), end="", flush=True)
print()
settled = client.wait(run["run"])
print(f"{settled['outcome']}, {settled['frames']} frames", file=sys.stderr)
if given.pin:
    verdict = verify(client.export(run["run"]), given.pin)
    print(verdict.verdict, file=sys.stderr)
    sys.exit(verdict.exit)
