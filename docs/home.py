"""The pages of the site that do not lie in docs/: README.md is its home, and the board as a page that sorts.

Links to files beside README.md are mended.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from lgm_bench.standard.board import read_board
from lgm_bench.standard.board_page import board_page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
BOARD_PAGE, BOARD_MARK = "board_page.html", "<!-- site: board page -->"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages at the top of the repository, and the board."""
    board = board_page(read_board(ROOT / "leaderboard" / "standard"))
    files.append(File.generated(config, BOARD_PAGE, content=board))
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        if page == "index.md":
            text = "---\nhide: [navigation]\n---\n" + text
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Let links to the pages at the top lead to their places in the site, and one link to the board."""
    markdown = markdown.replace(BOARD_MARK, f"[Open the page with tables that sort]({BOARD_PAGE})")
    for name, page in PAGES.items():
        markdown = re.sub(rf"\]\((?:\.\./)?{re.escape(name)}(?=[#)])", f"]({page}", markdown)
    return markdown
