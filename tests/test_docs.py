"""The pages under docs: what they show runs as it stands there, and they leave nothing out of what they promise."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import swarm
from swarm import Discovery, Swarm
from tests.programs import run

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SOURCES = [path for folder in ("swarm", "holepunch", "tests", "examples") for path in ROOT.glob(f"{folder}/**/*.py")]


def programs(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


# -- the reference ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", swarm.__all__)
def test_reference_has_every_name_that_can_be_imported(name: str) -> None:
    assert re.search(rf"\b{name}\b", (DOCS / "reference.md").read_text())


@pytest.mark.parametrize("of", [Swarm, Discovery])
def test_reference_has_every_method(of: type) -> None:
    page = (DOCS / "reference.md").read_text()
    missing = [name for name in vars(of) if not name.startswith("_") and not re.search(rf"\b{name}\b", page)]
    assert not missing


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
        assert step is None or re.search(rf"^{step}\. ", section[0], re.MULTILINE), f"{page}.md, {number}: no step {step}"


def test_every_page_that_the_source_names_exists() -> None:
    for path in SOURCES:
        for name in re.findall(r"\b(?:docs/)?([a-z-]+\.md)\b", path.read_text()):
            assert (DOCS / name).exists() or (DOCS / "protocol" / name).exists(), f"{path} names {name}"


def test_every_page_of_the_protocol_is_in_its_index() -> None:
    index = (DOCS / "protocol.md").read_text()
    assert not [page.name for page in (DOCS / "protocol").iterdir() if f"(protocol/{page.name}" not in index]


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


# -- what pages show -------------------------------------------------------------------------------------------------


async def test_examples_of_testing_are_tests_that_pass(tmp_path: Path) -> None:
    examples = programs("testing.md")
    for number, example in enumerate(examples):
        (tmp_path / f"test_{number}.py").write_text(example)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\nfilterwarnings = error")
    ran = await run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path))
    assert f"{len(examples)} passed" in ran.stdout.decode(), ran.stdout.decode()
