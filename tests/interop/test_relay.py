"""Connections through a blind relay, where at least one of the three, the two peers and the relay, is Node's."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import trio

from tests.interop.ends import End, transfer_both_ways
from tests.interop.peers import PeerError

if TYPE_CHECKING:
    from tests.interop.conftest import Start
    from tests.interop.peers import Peer

# who keeps the DHT is all the same here
pytestmark = pytest.mark.parametrize("dht", ["python"], indirect=True)

SETS = ["python-node-python", "node-python-node", "python-python-node", "node-python-python", "python-node-node"]
"""Server, relay, client. Not all three of Node, which would say nothing of this library."""


@dataclass
class Three:
    relay: Peer
    server: End
    client: End


async def meet(start: Start, kinds: str, who: str, *, direct: bool) -> Three:
    """``who`` of the two peers names the relay. Not ``direct``: they leave each other no direct way."""
    server_kind, relay_kind, client_kind = kinds.split("-")
    relay, server, client = await start(relay_kind), await start(server_kind), await start(client_kind)
    await relay.call("be_relay")
    options = {side: {"direct": direct, "relay": relay.key if side == who else None} for side in ("server", "client")}
    await server.call("listen", **options["server"])
    # Node tries its own way to a relay once. To one of Node's it times out now and then, with all of Node's and in a
    # DHT of Node's, too; to one of ours it failed very rarely, why is not known yet: the warning has what Node says
    dials = 3 if "node" in (server_kind, client_kind) else 1
    while True:
        dials -= 1
        try:
            conn = (await client.call("connect", key=server.key, **options["client"]))["conn"]
        except PeerError as error:
            if not dials:
                raise
            warnings.warn(f"dialled again: {kinds}, relay named by the {who}: {error}", RuntimeWarning, stacklevel=1)
        else:
            return Three(relay, End(server, await server.connection(client)), End(client, conn))


@pytest.mark.parametrize("who", ["server", "client"])
@pytest.mark.parametrize("kinds", SETS)
async def test_data_goes_through_a_relay(start: Start, kinds: str, who: str) -> None:
    with trio.fail_after(60):
        three = await meet(start, kinds, who, direct=False)
        assert await three.relay.call("relay_stats") == {"matched": 1, "links": 1}
        await transfer_both_ways((three.server, three.client), 1_000_000)
        assert await three.relay.call("relay_stats") == {"matched": 1, "links": 1}


@pytest.mark.parametrize("who", ["server", "client"])
@pytest.mark.parametrize("kinds", ["python-node-node", "node-node-python", "python-python-node", "node-python-python"])
async def test_connection_that_finds_a_direct_path_needs_the_relay_no_more(start: Start, kinds: str, who: str) -> None:
    """Data flows all the time: whatever is found when, nothing of it is lost, and the relay is given back."""
    with trio.fail_after(60):
        three = await meet(start, kinds, who, direct=True)
        relay_address = await three.relay.call("where")
        for _ in range(3):
            await transfer_both_ways((three.server, three.client), 1_000_000)
        while (await three.relay.call("relay_stats"))["links"]:
            await trio.sleep(0.2)
            await transfer_both_ways((three.server, three.client), 1000)
        for end in (three.server, three.client):
            assert (await end.call("path"))["address"] not in relay_address["addresses"]
        await transfer_both_ways((three.server, three.client), 1_000_000)
