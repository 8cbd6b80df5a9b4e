"""Runs the asynchronous part of a command: signals end it in order, errors become exit codes and one line of text."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import click
import trio

from holepunch.errors import ConnectError
from swarm.cli.exits import Exit, exit_of, text_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swarm.cli.options import Settings

__all__ = ["run", "serve"]


def run(settings: Settings, main: Callable[[], Awaitable[Exit | None]]) -> NoReturn:
    """Run ``main`` to its end and leave the program. Interrupted, it leaves with `Exit.INTERRUPTED`."""
    _leave(settings, main, Exit.INTERRUPTED)


def serve(settings: Settings, main: Callable[[], Awaitable[Exit | None]]) -> NoReturn:
    """The same for a command that has no end of its own: being interrupted is how it ends well."""
    _leave(settings, main, Exit.OK)


def _leave(settings: Settings, main: Callable[[], Awaitable[Exit | None]], interrupted: Exit) -> NoReturn:
    try:
        code = trio.run(_until_signal, main, interrupted)
    except KeyboardInterrupt:  # before or after the signals are listened to
        code = interrupted
    except (Exception, BaseExceptionGroup) as error:
        cause = _first_leaf(error)
        if isinstance(cause, click.ClickException):
            raise cause from None
        known = exit_of(cause)
        if known is None:
            raise
        settings.output.error(text_of(cause), cause.to_dict() if isinstance(cause, ConnectError) else None)
        code = known
    sys.exit(code)


async def _until_signal(main: Callable[[], Awaitable[Exit | None]], interrupted: Exit) -> Exit:
    code = Exit.OK
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def work() -> None:
                nonlocal code
                code = await main() or Exit.OK
                nursery.cancel_scope.cancel()

            nursery.start_soon(work)
            async for _ in signals:
                code = interrupted
                nursery.cancel_scope.cancel()
    return code


def _first_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
