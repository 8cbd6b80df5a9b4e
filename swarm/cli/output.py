"""The one module that prints: results on standard output, everything else on standard error.

With ``--json`` each result is one JSON object a line, with stable keys; errors are objects on standard error.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import click

from swarm.errors import BootstrapError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Output", "printable"]


def printable(text: str) -> str:
    """One line of text from a stranger, without what would command the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _is_news(record: logging.LogRecord) -> bool:
    """Not that there is no network: a command that needs one says so itself, once."""
    return not (isinstance(record.args, tuple) and any(isinstance(value, BootstrapError) for value in record.args))


class Output:
    def __init__(self, *, as_json: bool, verbosity: int) -> None:
        self.as_json = as_json
        level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
        handler = logging.StreamHandler()
        if not verbosity:
            handler.addFilter(_is_news)
        # does nothing where the program around has set up its own logging
        logging.basicConfig(level=level, format="%(asctime)s %(name)s: %(message)s", handlers=[handler])

    def result(self, data: dict[str, Any], text: str) -> None:
        """What the command was run for: ``data`` for programs, ``text`` for people."""
        click.echo(json.dumps(data, ensure_ascii=False) if self.as_json else text)

    def raw(self, data: bytes) -> None:
        """Result bytes as they are, at once."""
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def note(self, text: str) -> None:
        """What is going on, for people who watch."""
        if not self.as_json:
            click.secho(text, err=True, dim=True)

    @contextlib.contextmanager
    def progress(self, total: int) -> Iterator[Callable[[int], None]]:
        """A bar with rate and time left, for people at a terminal. Yields what to tell of each so many bytes done."""
        if self.as_json or not sys.stderr.isatty():
            yield lambda _: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("", total=total)
            yield lambda done: bar.advance(task, done)

    def event(self, data: dict[str, Any], text: str) -> None:
        """What happened meanwhile: for programs a result like others, for people a note."""
        if self.as_json:
            self.result(data, text)
        else:
            self.note(text)

    def error(self, text: str, data: dict[str, Any] | None = None) -> None:
        if self.as_json:
            click.echo(json.dumps({"error": text, **(data or {})}, ensure_ascii=False), err=True)
        else:
            click.secho(f"swarm: {text}", err=True, fg="red")
