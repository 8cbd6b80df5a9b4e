"""UDX: reliable, ordered streams and unordered messages over UDP. Pure: datagrams in, datagrams out, deadlines."""

from holepunch.udx.linger import LINGER_TIME, Linger
from holepunch.udx.packet import peek, run_of_one_stream
from holepunch.udx.stream import UdxStream
from holepunch.udx.values import Event, Reset, Route, StreamError, TimedOut, Transmit

__all__ = [
    "LINGER_TIME",
    "Event",
    "Linger",
    "Reset",
    "Route",
    "StreamError",
    "TimedOut",
    "Transmit",
    "UdxStream",
    "peek",
    "run_of_one_stream",
]
