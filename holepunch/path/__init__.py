"""How the bytes of a connection travel: the path it has, how another one is proven, and how it changes over."""

from holepunch.path.value import Path

__all__ = ["Path"]
