"""Links and anchors resolve, all pages can be reached, and nothing of the command line goes unmentioned."""

import re
from pathlib import Path

import pytest
from documented import PAGES, ROOT, VERBS, anchors, links

from datamodules import DATAMODULES
from lgm_bench.attacks import ATTACKS
from lgm_bench.evaluation.cells.config import load_bench

SOURCES = [
    f"/{path.relative_to(ROOT)}"
    for folder in ("lgm_bench", "victims", "datamodules", "tests", "docs", "benchmarks", "examples")
    for path in (ROOT / folder).rglob("*.*")
]
"""Files of the repository, from its top."""
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    broken = []
    for place, target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append((place, target))
    assert broken == []


def test_the_readme_leads_to_every_page() -> None:
    reached: set[Path] = set()
    ahead = [PAGES[0]]
    while ahead:
        page = ahead.pop()
        if page not in reached and page in PAGES:
            reached.add(page)
            ahead += [(page.parent / target.partition("#")[0]).resolve() for _, target in links(page)]
    assert [page.name for page in PAGES if page not in reached] == []


def test_a_broken_anchor_is_found_out(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Where it differs, and why: a `b`\n\n[x](#where-it-differs-and-why-a-b) [y](#no)\n")
    with pytest.raises(AssertionError, match="#no"):
        test_links(page)


def test_every_verb_is_mentioned() -> None:
    assert [verb for verb in VERBS if f"lgm-bench {verb}" not in TEXT] == []


def test_every_option_of_run_is_mentioned() -> None:
    options = [name for parameter in VERBS["run"].params for name in parameter.opts]
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", TEXT))
    assert [name for name in options if name.startswith("--") and name not in mentioned] == []


def test_every_data_set_attack_and_suite_has_its_place() -> None:
    pages = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
    assert [name for name in DATAMODULES if f"`{name}`" not in pages["data_sets.md"]] == []
    assert [name for name in load_bench().suites if f"| `{name}`" not in pages["suites.md"]] == []
    assert [name for name in ATTACKS if name not in pages["suites.md"]] == []


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"([\w/]+\.md)\s*$", navigation.partition("nav:")[2].partition("plugins:")[0], re.MULTILINE)
    docs = ROOT / "docs"
    assert sorted(listed) == sorted(
        [str(page.relative_to(docs)) for page in docs.rglob("*.md")] + ["changelog.md", "contributing.md", "index.md"]
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_modules_that_pages_name_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    files = [name for name in re.findall(r"`([\w/]+\.(?:py|cpp))`", text) if not name.startswith("my_")]
    assert [name for name in files if not any(place.endswith(f"/{name}") for place in SOURCES)] == []
    modules = re.findall(r"`((?:lgm_bench|victims|datamodules)(?:\.[a-z_]+)+)", text)
    paths = [f"/{module.replace('.', '/')}" for module in modules]
    there = {place.removesuffix(".py").removesuffix("/__init__") for place in SOURCES}
    assert [path for path in paths if path not in there and path.rpartition("/")[0] not in there] == []
