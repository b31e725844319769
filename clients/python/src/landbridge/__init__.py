"""A client of Landbridge's local API, and a verifier of what it exports.

    from landbridge import Client, verify

    client = Client()
    run = client.start("eu", key="nightly-2026-01-07-summarise", prompt="Summarise the incident.")
    for frame in client.stream(run["run"]):
        print(frame.event, frame.payload)
    print(verify(client.export(run["run"]), pin="gw1-…").ok)
"""

from ._api import RouteView as Route, RunView as Run
from ._exchange import Cut
from .client import AsyncClient, Client
from .types import Frame, Problem
from .verify import Verdict, verify

__all__ = ["AsyncClient", "Client", "Cut", "Frame", "Problem", "Route", "Run", "Verdict", "verify"]
