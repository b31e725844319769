"""Leads several runs at once, and cancels what has not ended after a while.

    python examples/many.py eu "Count to ten." "Count to a hundred." --seconds 30
"""

import argparse
import asyncio
import uuid

from landbridge import AsyncClient


async def lead(client: AsyncClient, gateway: str, prompt: str, seconds: float) -> str:
    run = await client.start(gateway, f"example-{uuid.uuid4()}", prompt=prompt)
    try:
        settled = await asyncio.wait_for(client.wait(run["run"]), seconds)
    except asyncio.TimeoutError:
        await client.cancel(run["run"])
        settled = await client.wait(run["run"])
    return f"{run['run']}: {settled['outcome']}"


async def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("gateway")
    arguments.add_argument("prompts", nargs="+")
    arguments.add_argument("--seconds", type=float, default=60)
    given = arguments.parse_args()
    client = AsyncClient()
    for line in await asyncio.gather(*(lead(client, given.gateway, prompt, given.seconds) for prompt in given.prompts)):
        print(line)


asyncio.run(main())
