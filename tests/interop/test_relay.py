"""Connections through a blind relay, where at least one of the three, the two peers and the relay, is Node's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import trio

from tests.interop.ends import End, transfer_both_ways

if TYPE_CHECKING:
    from tests.interop.conftest import Start
    from tests.interop.peers import Peer

SETS = ["python-node-python", "node-python-node", "python-python-node", "node-python-python", "python-node-node"]
"""Server, relay, client. All three of Node are the control, of which the others differ in one thing or two."""


@dataclass
class Three:
    relay: Peer
    server: End
    client: End


async def meet(start: Start, kinds: str, who: str, *, direct: bool) -> Three:
    """``who`` of the two peers names the relay. Not ``direct``: that one leaves the other no direct way."""
    server_kind, relay_kind, client_kind = kinds.split("-")
    relay, server, client = await start(relay_kind), await start(server_kind), await start(client_kind)
    await relay.call("be_relay")
    # Node's other side has to be told, too; ours follows whoever requires a relay
    quiet = {"direct": direct} if "node" in (server_kind, client_kind) else {}
    named = {"relay": relay.key, "direct": direct}

    def options(side: str, kind: str) -> dict[str, object]:
        return named if side == who else quiet if kind == "node" else {}

    await server.call("listen", **options("server", server_kind))
    conn = (await client.call("connect", key=server.key, **options("client", client_kind)))["conn"]
    return Three(relay, End(server, await server.connection(client)), End(client, conn))


@pytest.mark.parametrize("who", ["server", "client"])
@pytest.mark.parametrize("kinds", ["node-node-node", *SETS])
async def test_data_goes_through_a_relay(start: Start, kinds: str, who: str) -> None:
    with trio.fail_after(30):
        three = await meet(start, kinds, who, direct=False)
        assert await three.relay.call("relay_stats") == {"matched": 1, "links": 1}
        await transfer_both_ways((three.server, three.client), 1_000_000)
        assert await three.relay.call("relay_stats") == {"matched": 1, "links": 1}
        addresses = [(await end.call("path"))["address"] for end in (three.server, three.client)]
        assert addresses[0] == addresses[1]
