"""What holds for every test: it leaves no file descriptor, socket or task behind, and no bug was contained meanwhile.

A test marked ``private_network("COMMAND", ...)`` runs in a network namespace of its own, with the loopback interface
and what the commands add to it. One marked ``virtual_time`` runs, with its fixtures, on a clock that takes no time.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import HealthCheck, settings

from tests.contract import internet
from tests.tools import need, virtual_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from tests.contract import World

# how fast a machine is, and what else it does, is no property of the code
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

INSIDE = "TEST_PRIVATE_NETWORK"
"""Set in the environment of a test run that is in its namespace already."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "virtual_time: run on a clock that jumps whenever every task waits")
    config.addinivalue_line("markers", "private_network(*commands): run in a network namespace prepared by commands")


# -- workers ---------------------------------------------------------------------------------------------------------

MAX_WORKERS = 4
"""More help little, and each keeps processes of its own for the tests against Node."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: of the time of a run, a third is spent waiting for programs and real routers."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + 1, MAX_WORKERS)


# -- leaks -----------------------------------------------------------------------------------------------------------


def _descriptors() -> set[str]:
    """Every open file descriptor and what it refers to, so that a number used again for something else is new."""
    found = set()
    for number in os.listdir("/dev/fd"):
        try:
            found.add(f"{number}: {os.readlink(f'/dev/fd/{number}')}")
        except OSError:
            continue  # the directory just listed, or a system without links here
    return found


@pytest.fixture(autouse=True)
def _no_leaked_descriptor() -> Iterator[None]:
    before = _descriptors()
    yield
    # no garbage collection first: what only that closes is a leak
    leaked = _descriptors() - before
    assert not leaked, f"left open: {sorted(leaked)}"


def _system_tasks() -> set[trio.lowlevel.Task]:
    """Tasks outside every test's own nurseries: the only ones that can outlive the blocks of a test."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    return {task for nursery in root.child_nurseries for task in nursery.child_tasks}


def _leaves_no_task(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def watched(*args: Any, **kwargs: Any) -> None:
        before = _system_tasks()
        await test(*args, **kwargs)
        leaked = _system_tasks() - before
        assert not leaked, f"still running: {sorted(task.name for task in leaked)}"

    return watched


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        if item.get_closest_marker("virtual_time"):
            item.add_marker(pytest.mark.trio(run=virtual_time), append=False)
        hypothesis = getattr(item.obj, "hypothesis", None)
        if hypothesis is not None and inspect.iscoroutinefunction(hypothesis.inner_test):
            hypothesis.inner_test = _leaves_no_task(hypothesis.inner_test)
        elif inspect.iscoroutinefunction(item.obj):
            item.obj = _leaves_no_task(item.obj)


# -- bugs that an endpoint survives ----------------------------------------------------------------------------------


class _Collected(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.bugs: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        assert record.exc_info is not None
        assert record.exc_info[1] is not None
        self.bugs.append(record.exc_info[1])


@pytest.fixture(autouse=True)
def contained_bugs() -> Iterator[list[BaseException]]:
    """What `holepunch.containment` reported. A test that wants a bug takes it out of the list; others fail by it."""
    logger = logging.getLogger("holepunch.containment")
    collected = _Collected()
    logger.addHandler(collected)
    yield collected.bugs
    logger.removeHandler(collected)
    if collected.bugs:
        raise BaseExceptionGroup("bugs that ended a stream or lost a datagram", collected.bugs)


# -- a virtual internet ----------------------------------------------------------------------------------------------


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Where most tests of swarms and nodes take place; some rooms have one of their own."""
    async with internet() as there:
        yield there


# -- private networks ------------------------------------------------------------------------------------------------


@functools.cache
def _namespace() -> list[str]:
    """The command that runs another one in a network namespace of its own."""
    unshare = [need("unshare"), "--net"]
    if os.geteuid() != 0:
        unshare.append("--map-root-user")
    need("ip")
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine allows no network namespaces here")
    return unshare


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    marker = pyfuncitem.get_closest_marker("private_network")
    if marker is None or INSIDE in os.environ:
        return None
    script = "\n".join(["set -e", "ip link set lo up", *marker.args, 'exec "$@"'])
    test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", pyfuncitem.nodeid]
    done = subprocess.run(
        [*_namespace(), "sh", "-c", script, "sh", *test],
        cwd=pyfuncitem.config.rootpath,
        env={**os.environ, INSIDE: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"in a network namespace of its own:\n{done.stdout}{done.stderr}", pytrace=False)
    return True
