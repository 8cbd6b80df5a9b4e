"""Single datagrams that came together are joined into runs: none is lost, moved, or given to another source."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.udp import MAX_DATAGRAM, MAX_SEGMENTS, Received, runs
from holepunch.udp.system import ReceiveTier, SendTier, SystemNetwork

ALICE, BOB = Address("192.88.99.1", 1), Address("192.88.99.2", 2)


def single(size: int, number: int, source: Address = ALICE) -> Received:
    return Received(memoryview(bytes([number & 255]) * size), size, source)


def joined(batch: list[Received]) -> list[Received]:
    views = [received.view for received in batch]
    columns = [len(view) for view in views], [received.segment for received in batch], [r.source for r in batch]
    return [Received(*run) for run in runs.joined(views, *columns)]


def cut(batch: list[Received]) -> list[tuple[bytes, Address]]:
    return [
        (bytes(view[at : at + segment]), source)
        for view, segment, source in batch
        for at in range(0, len(view), segment)
    ]


BATCHES = st.lists(
    st.one_of(
        st.builds(single, st.sampled_from([8, 20, 1472]), st.integers(0, 255), st.sampled_from([ALICE, BOB])),
        st.builds(
            lambda size, count, short: Received(memoryview(bytes(size * count + short)), size, ALICE),
            st.sampled_from([20, 1472]),
            st.integers(2, 5),
            st.integers(0, 19),
        ),
    ),
    max_size=30,
)


@given(BATCHES)
def test_every_datagram_stays_in_its_place(batch: list[Received]) -> None:
    assert cut(joined(batch)) == cut(batch)


@given(BATCHES)
def test_nothing_is_left_to_join(batch: list[Received]) -> None:
    assert len(joined(joined(batch))) == len(joined(batch)) <= len(batch)


def test_equal_ones_and_a_shorter_one_behind_them_are_one_run() -> None:
    (run,) = joined([single(1472, 1), single(1472, 2), single(100, 3)])
    assert bytes(run.view) == bytes([1]) * 1472 + bytes([2]) * 1472 + bytes([3]) * 100
    assert (run.segment, run.source) == (1472, ALICE)


@pytest.mark.parametrize(
    "batch",
    [
        [single(20, 1), single(20, 2, BOB)],
        [single(20, 1), single(21, 2)],
        [Received(memoryview(bytes(60)), 20, ALICE), single(20, 4)],
    ],
    ids=["another source", "a longer one", "a run of the kernel's, which may end short"],
)
def test_others_stay_apart(batch: list[Received]) -> None:
    assert joined(batch) == batch


def test_no_run_is_larger_than_what_can_be_sent_as_one() -> None:
    assert [len(run.view) // 20 for run in joined([single(20, n) for n in range(100)])] == [MAX_SEGMENTS, 36]
    assert [len(run.view) for run in joined([single(MAX_DATAGRAM // 2, n) for n in range(3)])] == [65506, 32753]


def test_empty_datagrams_are_left_out() -> None:
    empty = Received(memoryview(b""), 0, ALICE)
    batch = [empty, single(20, 1), empty, single(20, 2), empty]
    assert joined(batch) == [single(20, 1), single(20, 2)]


@pytest.mark.parametrize("tier", ReceiveTier)
async def test_datagrams_sent_one_by_one_are_received_as_one_run(tier: ReceiveTier) -> None:
    network = SystemNetwork(receive_tier=tier)
    receiver, sender = network.bind("127.0.0.1", 0), SystemNetwork(send_tier=SendTier.SINGLE).bind("127.0.0.1", 0)
    if network.receive_tier is not tier:
        pytest.skip(f"this system has no {tier.value}")
    for number in range(5):
        sender.send([bytes([number]) * 100], receiver.local_address)
    with trio.fail_after(10):
        await receiver.wait_readable()
    (run,) = receiver.receive()
    assert run.segment == 100
    assert bytes(run.view) == b"".join(bytes([number]) * 100 for number in range(5))
    assert run.source == sender.local_address
    receiver.close()
    sender.close()
