"""Which blind relay a peer wants, and whether it may be used. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self, get_args

from holepunch.keys import PublicKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.core import Random

__all__ = ["NO_RELAY", "RelayChoice", "RelayPolicy"]

RelayPolicy = Literal["prefer-direct", "require", "forbid"]
"""``"prefer-direct"``: a relay carries the connection until, and unless, a direct path is found. ``"require"``: only a
relay does, one's own or the peer's, so that the peer learns no address of this side from it. ``"forbid"``: never, even
if the peer asks."""


class RelayChoice(NamedTuple):
    """The relays of one side."""

    keys: tuple[PublicKey, ...] = ()
    """One is picked for each connection. None: only the peer's relay is used."""
    policy: RelayPolicy = "prefer-direct"

    @classmethod
    def parse(
        cls, relay_through: bytes | str | Iterable[bytes | str] | None, policy: RelayPolicy = "prefer-direct"
    ) -> Self:
        """From what an application says: a key, several, or None. Raises ``TypeError`` and ``ValueError`` otherwise."""
        if policy not in get_args(RelayPolicy):
            raise ValueError(f"a relay policy is one of {', '.join(get_args(RelayPolicy))}; got {policy!r}")
        if relay_through is None:
            keys: tuple[PublicKey, ...] = ()
        elif isinstance(relay_through, bytes | bytearray | memoryview | str):
            keys = (PublicKey.parse(bytes(relay_through) if isinstance(relay_through, memoryview) else relay_through),)
        elif not isinstance(relay_through, Iterable):
            raise TypeError(f"relay_through is a public key or several, got {relay_through!r}")
        else:
            keys = tuple(PublicKey.parse(key) for key in relay_through)
        return cls(keys, policy)

    def but(self, relay_through: bytes | str | Iterable[bytes | str] | None, policy: RelayPolicy | None) -> RelayChoice:
        """This one, with what is given in its place. Raises ``ValueError`` as `parse` does."""
        if relay_through is None and policy is None:
            return self
        keys = self.keys if relay_through is None else relay_through
        return RelayChoice.parse(keys, self.policy if policy is None else policy)

    def pick(
        self,
        rng: Random,
        *,
        but: bytes = b"",
        is_down: Callable[[PublicKey], bool] = lambda _: False,
        prefer: bytes | None = None,
    ) -> PublicKey | None:
        """One of the relays, if any may be used: ``prefer``, if it is one. ``but``: the peer, which cannot relay to
        itself. One that seems to be down is only taken where all are."""
        keys = [key for key in self.keys if key != but]
        keys = [key for key in keys if key == prefer] or [key for key in keys if not is_down(key)] or keys
        return keys[rng.randrange(0, len(keys))] if keys and self.policy != "forbid" else None

    def named_by(self, key: bytes, host: str) -> str | None:
        """Who is to answer for a connection to this relay: None for this side, which has it configured, else the peer's
        ``host``."""
        return None if key in self.keys else host

    @property
    def required(self) -> bool:
        return self.policy == "require"

    @property
    def forbidden(self) -> bool:
        return self.policy == "forbid"


NO_RELAY: Final = RelayChoice()
"""None of one's own; the peer's is used if it names one, as in Node."""
