"""The dials of one node that are under way, which fail together when it is suspended."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from holepunch.relay.choice import RelayChoice
from swarm.dht.dialling import Dialling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.address import Address
    from holepunch.endpoint import Endpoint
    from holepunch.errors import ConnectError
    from holepunch.keys import KeyPair, PublicKey
    from holepunch.punch.environment import Environment
    from holepunch.signaller import Cancel
    from swarm.connection import Connection
    from swarm.membership import Membership

__all__ = ["Dials"]

WITHOUT_RELAY = RelayChoice(policy="forbid")


class Dials:
    def __init__(self, endpoint: Endpoint, environment: Environment) -> None:
        self._endpoint = endpoint
        self._environment = environment
        self._under_way: set[Dialling] = set()
        self.suspended = False
        """Whether each new one fails at once."""

    def start(
        self,
        key_pair: KeyPair,
        public_key: PublicKey,
        relays: Sequence[Address],
        on_open: Callable[[Connection], None],
        on_failed: Callable[[ConnectError], None],
        relaying: RelayChoice,
        membership: Membership | None,
    ) -> Dialling:
        """Nothing is called back before this returns."""
        dialling = Dialling(
            self._endpoint, self._environment, key_pair, public_key, relays, on_open, on_failed, relaying, membership
        )
        self._under_way.add(dialling)
        dialling.on_end = partial(self._under_way.discard, dialling)
        if self.suspended:
            self._endpoint.schedule.after(0, dialling.suspend)
        else:
            dialling.start()
        return dialling

    def start_to_relay(
        self,
        key_pair: KeyPair,
        relay: PublicKey,
        on_path: Callable[[Connection], None],
        on_open: Callable[[], None],
        on_failed: Callable[[Exception], None],
    ) -> Cancel:
        """Reach a relay, which must be reached without one. The caller itself gives up when the node is suspended."""
        dialling = Dialling(
            self._endpoint,
            self._environment,
            key_pair,
            relay,
            (),
            lambda _: on_open(),
            on_failed,
            WITHOUT_RELAY,
            on_path=on_path,
        )
        dialling.start()
        return dialling.cancel

    def suspend(self) -> None:
        self.suspended = True
        for dialling in list(self._under_way):
            dialling.suspend()
