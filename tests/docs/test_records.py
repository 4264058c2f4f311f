"""The numbers between the markers of the pages are those of the committed records."""

import re
import runpy
from pathlib import Path

import pytest
from documented import PAGES, ROOT

RECORDS = runpy.run_path(str(ROOT / "docs" / "records.py"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_numbers_are_those_of_the_records(page: Path) -> None:
    """If this fails, run python docs/records.py."""
    text = page.read_text(encoding="utf-8")
    assert text.count("<!-- record:") == text.count("<!-- end -->") == len(RECORDS["MARKED"].findall(text))
    assert RECORDS["renewed"](text) == text


def test_a_number_that_was_typed_is_found_out() -> None:
    names = ("board networks", "dynconv20_at-cifar10 8/255 images")
    page = " ".join(f"<!-- record: {name} -->no number<!-- end -->" for name in names)
    networks, images = re.findall(r"-->(\d+)<!", RECORDS["renewed"](page))
    entries = RECORDS["entries"]()
    assert int(networks) == len({entry.network for entry in entries.values()})
    assert int(images.replace(",", "")) == entries["dynconv20_at-cifar10 8/255"].n_samples


def test_the_table_of_the_suite_control_by_hand() -> None:
    """The first line of the table against the record, read without the script."""
    record = (ROOT / "docs" / "records" / "control.json").read_text(encoding="utf-8")
    line = next(
        line for line in record.splitlines() if '"skipnet20-cifar10 fgsm eps 1 (2/255)", "gradient": "LGM' in line
    )
    baseline, arm = (float(re.search(rf'"{name}": ([\d.]+)', line)[1]) for name in ("baseline_value", "arm_value"))
    assert '"verdict": "stronger"' in line
    assert f"| skipnet20 | 2/255 | {100 * baseline:.2f} | **{100 * arm:.2f}** (" in RECORDS["control_table"]()
