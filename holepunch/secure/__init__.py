"""Who is at the other end, and what was said to it: the Noise handshake, and the encrypted stream that follows it.

Pure: bytes in, bytes out; randomness comes in.
"""

from holepunch.secure.noise import Handshake, Session
from holepunch.secure.secretstream import SecretStream

__all__ = ["Handshake", "SecretStream", "Session"]
