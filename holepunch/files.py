"""Files that are whole at every moment: written aside, synchronised, and put in their place in one step."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PART", "written_aside"]

PART = ".part"
"""At the end of the name of a file that is being written, or whose writer was killed."""


@contextmanager
def written_aside(file: Path, data: bytes) -> Iterator[Path]:
    """A file beside ``file`` with ``data`` in it, on disk, for its owner only. It is gone after the block, unless the
    block has moved it. Raises ``OSError``."""
    # each writer has a name of its own: of two that write the same file, each writes it as a whole
    part = file.with_name(f".{file.name}.{os.getpid()}.{os.urandom(4).hex()}{PART}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        yield part
    finally:
        part.unlink(missing_ok=True)
