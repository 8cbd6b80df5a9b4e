"""The command ``swarm relay``, as a process: peers that can only meet through it do, and it ends in order."""

from __future__ import annotations

import json
import signal

import pytest
import trio

from swarm import DHT, PublicKey
from swarm.testing import Testnet
from tests.programs import SWARM, running


async def test_command_is_a_relay_until_it_is_interrupted() -> None:
    with trio.fail_after(30):
        async with Testnet(3) as net:
            options = ("--host", "127.0.0.1", "--bootstrap", net.bootstrap[0], "--json")
            async with (
                running(*SWARM, "relay", *options) as relay,
                DHT(bootstrap=net.bootstrap, host="127.0.0.1") as alice,
                DHT(bootstrap=net.bootstrap, host="127.0.0.1") as bob,
            ):
                key = json.loads(await relay.line())["public_key"]
                listener = await bob.listen()
                connection = await alice.connect(listener.public_key, relay_through=key, relay_policy="require")
                accepted = await listener.__anext__()
                await connection.send_all(b"hello")
                assert await accepted.receive_some() == b"hello"
                assert connection.path.relay == PublicKey.parse(key)
                relay.process.send_signal(signal.SIGTERM)
                assert await relay.process.wait() == 0
                with trio.fail_after(2), pytest.raises(trio.BrokenResourceError):
                    await accepted.receive_some()
