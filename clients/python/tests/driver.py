"""This client under `landbridge-conformance local-client`: does the task on standard input, and tells what it saw.

    landbridge-conformance local-client --client 'python3 clients/python/tests/driver.py'

With `--asyncio` it is the `AsyncClient`.
"""

import asyncio
import inspect
import json
import sys
import time

from landbridge import AsyncClient, Client, Cut, Problem, _exchange

STARTS = 3


def tell(**line):
    print(json.dumps(line), flush=True)


async def got(answer):
    return await answer if inspect.isawaitable(answer) else answer


async def each(answers):
    if hasattr(answers, "__aiter__"):
        async for one in answers:
            yield one
    else:
        for one in answers:
            yield one


async def start(client, asked):
    """As the README says: when the answer is lost, call again with the same arguments."""
    rest = {name: value for name, value in asked.items() if name not in ("gateway", "idempotencyKey", "toolCall")}
    for left in reversed(range(STARTS)):
        try:
            return await got(
                client.start(asked["gateway"], asked["idempotencyKey"], tool_call=asked.get("toolCall"), **rest)
            )
        except Cut:
            if left == 0:
                raise
            time.sleep(0.1)


async def perform(client, task):
    what, run, after = task["do"], task.get("run"), task.get("after", 0)
    if what in ("start", "start-and-follow"):
        started = await start(client, task["start"])
        tell(run=started)
        run = started["run"]
    if what in ("follow", "start-and-follow"):
        async for frame in each(client.stream(run, after)):
            tell(frame={"seq": frame.seq, "event": frame.event, "line": frame.line})
    elif what == "show":
        tell(run=await got(client.show(run)))
    elif what == "list":
        async for one in each(client.list(**task["filters"])):
            tell(run=one)
    elif what == "cancel":
        tell(cancel=await got(client.cancel(run)))
    elif what == "transcript":
        tell(transcript=(await got(client.export(run))).decode())


async def main():
    task = json.loads(sys.stdin.readline())
    _exchange.SILENCE_S = task["silenceMs"] / 1000
    kind = AsyncClient if "--asyncio" in sys.argv else Client
    client = kind(url=task["url"], token=task["token"], give_up_after_s=task["giveUpAfterMs"] / 1000)
    try:
        await perform(client, task)
        tell(end="ok")
    except Problem as problem:
        told = {"code": problem.code, "status": problem.status, "retryable": problem.retryable}
        tell(end="problem", **told, retryAfterMs=problem.retry_after_ms, message=str(problem))
    except Cut as cut:
        tell(end="unknown", message=str(cut))


asyncio.run(main())
