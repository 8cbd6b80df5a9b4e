"""Measures what a router does, from a machine behind it.

python measure.py serve ADDRESS ADDRESS     answers on both addresses, two ports each, until its input ends
python measure.py probe ADDRESS ADDRESS     asks those, and prints the router's behaviour as JSON
"""

from __future__ import annotations

import itertools
import json
import select
import socket
import sys
from typing import Any

PORTS = (3478, 3479)
PATIENCE = 0.3
"""Seconds for an answer on a network without delay."""
TRIES = 2


def bound(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, port))
    return sock


def serve(hosts: list[str]) -> None:
    """A question names the (address, port) pair, by number, that is to answer it."""
    servers = [bound(host, port) for host in hosts for port in PORTS]
    print("READY", flush=True)
    while True:
        ready, _, _ = select.select([*servers, sys.stdin], [], [])
        if sys.stdin in ready:
            for server in servers:
                server.close()
            return
        for server in filter(ready.__contains__, servers):
            data, source = server.recvfrom(64)
            servers[data[0]].sendto(data[:1] + f"{source[0]}:{source[1]}".encode(), source)


def ask(sock: socket.socket, to: tuple[str, int], answerer: int) -> str | None:
    """How the server sees this socket; None when the answer, which ``answerer`` sends, is not let in."""
    for _ in range(TRIES):
        sock.sendto(bytes([answerer]), to)
        while select.select([sock], [], [], PATIENCE)[0]:
            data = sock.recv(64)
            if data[0] == answerer:
                return data[1:].decode()
    return None


def probe(hosts: list[str]) -> dict[str, Any]:
    servers = [(host, port) for host in hosts for port in PORTS]
    with bound("0.0.0.0", 0) as sock:
        seen = [ask(sock, server, n) for n, server in enumerate(servers)]
        local = sock.getsockname()[1]
    if None in seen:
        return {"udp": False}
    ports = [int(str(address).rpartition(":")[2]) for address in seen]
    mapping = "endpoint"
    if seen[0] != seen[1]:
        mapping = "address and port"
    elif seen[0] != seen[2]:
        mapping = "address"
    # sockets of their own: each must have spoken to the first server only
    filtering = "endpoint"
    with bound("0.0.0.0", 0) as sock:
        if ask(sock, servers[0], 1) is None:
            filtering = "address and port"
    with bound("0.0.0.0", 0) as sock:
        if filtering == "endpoint" and ask(sock, servers[0], 3) is None:
            filtering = "address"
    steps = {later - earlier for earlier, later in itertools.pairwise(ports)}
    if set(ports) == {local}:
        kept = "kept"
    elif mapping == "endpoint":
        kept = "other"
    else:
        kept = "next" if steps == {1} else "random"
    return {"udp": True, "mapping": mapping, "filtering": filtering, "ports": kept}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2:])
    else:
        print(json.dumps(probe(sys.argv[2:])))
