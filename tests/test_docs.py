"""The pages under docs against the code: nothing is left out, and what they name is there."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import swarm
from swarm import DHT, Connection, Discovery, MessageChannel, Swarm
from swarm.awaiting import Replies
from swarm.cli import COMMANDS
from swarm.dht.listener import Listener
from swarm.dht.relay import Relay

if TYPE_CHECKING:
    import click

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SOURCES = [path for folder in ("swarm", "holepunch", "tests", "examples") for path in ROOT.glob(f"{folder}/**/*.py")]


# -- the reference ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", swarm.__all__)
def test_reference_has_every_name_that_can_be_imported(name: str) -> None:
    assert re.search(rf"\b{name}\b", (DOCS / "reference.md").read_text())


@pytest.mark.parametrize("of", [Swarm, Discovery])
def test_reference_has_every_method(of: type) -> None:
    page = (DOCS / "reference.md").read_text()
    missing = [name for name in vars(of) if not name.startswith("_") and not re.search(rf"\b{name}\b", page)]
    assert not missing


# -- docstrings ------------------------------------------------------------------------------------------------------

RAISE_NOTHING_OF_THEIR_OWN = {
    *("suspend", "settled", "part", "check_firewall"),  # of a node
    *("leave", "aclose"),  # of what it made
    *("send_all", "send_eof", "receive_frame", "wait_send_all_might_not_block"),  # what every use of a stream may raise
}
"""The public async methods whose docstrings need not say what they raise: their class, or nothing, has it."""


def public_async_methods() -> list[tuple[type, str]]:
    return [
        (of, name)
        for of in (Swarm, Discovery, DHT, Listener, Relay, Replies, Connection, MessageChannel)
        for name, method in inspect.getmembers(of, inspect.iscoroutinefunction)
        if not name.startswith("_") and method.__module__.startswith(("swarm.", "holepunch."))
    ]


@pytest.mark.parametrize(("of", "name"), public_async_methods(), ids=lambda value: getattr(value, "__name__", value))
def test_public_async_methods_say_what_cancellation_means_and_what_they_raise(of: type, name: str) -> None:
    text = inspect.getdoc(getattr(of, name)) or ""
    assert "Cancelled:" in text
    assert name in RAISE_NOTHING_OF_THEIR_OWN or re.search(r"\b[Rr]aises\b", text)


# -- the protocol ----------------------------------------------------------------------------------------------------

CITATION = re.compile(
    r"""\b(udx|dht-rpc|hyperdht|secret-stream|protomux|blind-relay|swarm-policy)(?:\.md)?,?
        \ sections?\ ((?:\d+(?:\ \([A-Z_]+\))?(?:,\ |\ and\ |\ to\ )?)+)   # 3 (DOWN_HINT), 5 and 9; 3 to 6
        (?:step\ (\d+))?
    """,
    re.VERBOSE | re.IGNORECASE,
)


def citations(source: str) -> list[tuple[str, int, int | None]]:
    """The sections of protocol pages that comments and docstrings cite: page, section, and a step of it, if named."""
    text = re.sub(r"\s*\n\s*(?:# )?", " ", source)
    found = []
    for page, numbers, step in CITATION.findall(text):
        first, *rest = map(int, re.findall(r"\d+", numbers))
        sections = range(first, rest[0] + 1) if " to " in numbers else (first, *rest)
        found += [(page.lower(), section, int(step) if step else None) for section in sections]
    return found


def test_citations_are_found_in_all_their_forms() -> None:
    text = """(udx.md section 3,
    # step 9); dht-rpc sections 3 (DOWN_HINT), 5 and 9. HyperDHT section 2.
    udx.md sections 3 to 4; protomux.md, sections 1 and
    3. RFC 8445, section 7; hyperswarm 4.17
    """
    assert citations(text) == [
        ("udx", 3, 9),
        *[("dht-rpc", section, None) for section in (3, 5, 9)],
        ("hyperdht", 2, None),
        *[("udx", section, None) for section in (3, 4)],
        *[("protomux", section, None) for section in (1, 3)],
    ]


def test_every_section_that_the_source_cites_is_on_its_page() -> None:
    cited = {citation for path in SOURCES if path != Path(__file__) for citation in citations(path.read_text())}
    assert len(cited) > 30
    for page, number, step in cited:
        text = (DOCS / "protocol" / f"{page}.md").read_text()
        section = re.search(rf"^## {number}\. .*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert section is not None, f"{page}.md has no section {number}"
        if step is not None:
            assert re.search(rf"^{step}\. ", section[0], re.MULTILINE), f"{page}.md, {number}: no step {step}"


def test_every_page_that_the_source_names_exists() -> None:
    for path in SOURCES:
        for name in re.findall(r"\b(?:docs/)?([a-z-]+\.md)\b", path.read_text()):
            assert (DOCS / name).exists() or (DOCS / "protocol" / name).exists(), f"{path} names {name}"


def test_every_page_of_the_protocol_is_in_its_index() -> None:
    index = (DOCS / "protocol.md").read_text()
    assert not [page.name for page in (DOCS / "protocol").iterdir() if f"(protocol/{page.name}" not in index]


# -- the map of the code ---------------------------------------------------------------------------------------------


def mapped() -> dict[str, set[str]]:
    """The modules in the map of the architecture, by folder."""
    page = (DOCS / "architecture.md").read_text()
    listing = page.split("## The map")[1].split("```")[1]
    folders: dict[str, set[str]] = {}
    folder = ""
    for line in listing.splitlines():
        if found := re.match(r"(\w[\w/]*)/(?:\s|$)", line):
            folder = found[1]
            folders[folder] = set()
        elif found := re.match(r"  (\w+(?: \w+)*)(?:  |$)", line):
            folders[folder] |= set(found[1].split())
    return folders


def test_every_module_is_in_the_map_of_the_code() -> None:
    modules = mapped()
    for package in ("holepunch", "swarm"):
        for path in ROOT.glob(f"{package}/**/*.py"):
            if not path.name.startswith("__"):
                folder = path.parent.relative_to(ROOT).as_posix()
                assert path.stem in modules.get(folder, ()), f"docs/architecture.md does not name {folder}/{path.name}"


def test_the_map_of_the_code_names_no_module_that_is_gone() -> None:
    for folder, names in mapped().items():
        gone = [name for name in names if not (ROOT / folder / f"{name}.py").exists()]
        assert not gone, f"docs/architecture.md names {gone} in {folder}"


# -- links -----------------------------------------------------------------------------------------------------------

PAGES = [*ROOT.glob("*.md"), *DOCS.glob("**/*.md")]


def anchors(page: Path) -> set[str]:
    """The names under which a page's headings can be linked to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        to = page.parent / name if name else page
        assert to.exists(), target
        assert not anchor or anchor in anchors(to), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_pages_name_exist(page: Path) -> None:
    for name in re.findall(r"`((?:swarm|holepunch|tests|examples|docs)/[\w./-]*)`", page.read_text()):
        assert (ROOT / name).exists(), name


# -- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_summaries_of_commands_fit_into_the_help_and_are_on_the_page(name: str) -> None:
    command: click.Command = importlib.import_module(f"swarm.cli.{name}").command
    assert command.short_help
    assert len(command.short_help) <= 45
    assert re.search(rf"^\| `{name}\b", (DOCS / "cli.md").read_text(), re.MULTILINE)
