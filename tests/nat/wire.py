"""Joins two interfaces of one namespace and delays every frame but ARP's; ends with its standard input.

wire.py IF_A IF_B SECONDS   (with one interface only: make it send whole, checksummed frames)
"""

from __future__ import annotations

import array
import fcntl
import heapq
import select
import socket
import struct
import sys
import time

SIOCETHTOOL = 0x8946
OFFLOADS = (0x15, 0x17, 0x19, 0x1F, 0x24, 0x2C)
"""ETHTOOL_S{RXCSUM,TXCSUM,SG,TSO,GSO,GRO}: a raw socket must see frames as they go over a cable."""
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
ETH_P_ALL = 3
ETH_P_ARP = 0x0806
ETHERTYPE = slice(12, 14)


def without_offloads(name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in OFFLOADS:
            value = array.array("B", struct.pack("II", command, 0))
            request = struct.pack("16sP", name.encode(), value.buffer_info()[0])
            try:
                fcntl.ioctl(control, SIOCETHTOOL, request)
            except OSError:
                continue  # this interface has no such offload


def tap(name: str) -> socket.socket:
    without_offloads(name)
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    sock.bind((name, 0))
    sock.setblocking(False)
    return sock


def drain(sock: socket.socket) -> list[bytes]:
    frames: list[bytes] = []
    while len(frames) < 64:
        try:
            frames.append(sock.recv(65536))
        except OSError:
            break
    return frames


def delay_of(frame: bytes, delay: float) -> float:
    """A router asks nobody on the other side of the internet for the next one's hardware address: only here does it
    cross the wire, and delayed it would cost every peer's first packets another round trip."""
    return 0.0 if int.from_bytes(frame[ETHERTYPE], "big") == ETH_P_ARP else delay


def run(first: str, second: str, delay: float) -> None:
    a, b = tap(first), tap(second)
    other = {a: b, b: a}
    queue: list[tuple[float, int, socket.socket, bytes]] = []
    count = 0
    print("ready", flush=True)
    while True:
        now = time.monotonic()
        while queue and queue[0][0] <= now:
            _, _, sock, frame = heapq.heappop(queue)
            try:
                sock.send(frame)
            except OSError:
                continue  # lost, as on any wire
        wait = max(0.0, queue[0][0] - now) if queue else None
        ready, _, _ = select.select([a, b, sys.stdin], [], [], wait)
        if sys.stdin in ready:
            return
        for tapped in (a, b):
            for frame in drain(tapped) if tapped in ready else ():
                count += 1
                heapq.heappush(queue, (time.monotonic() + delay_of(frame, delay), count, other[tapped], frame))


if __name__ == "__main__":
    if len(sys.argv) == 2:
        without_offloads(sys.argv[1])
    else:
        run(sys.argv[1], sys.argv[2], float(sys.argv[3]))
