import io

from hand_made import ONE, cell, result
from rich.console import Console

from lgm_bench.results.formats import tex, to_latex, to_markdown, to_rich
from lgm_bench.results.frame import frame_of
from lgm_bench.results.tables import CLEAN, Column, Table, build_tables

FGM_ACC = Column("resnet32-cifar10", "fgm", "Acc.")


def table_1() -> Table:
    """Two cells that the paper prints, of a static and an adaptive victim, and two of a victim that it does not."""
    places = [("resnet32-cifar10", "fgm"), ("dynconv32-cifar10", "lgm"), ("dynconv8-cifar10", "fgm")]
    cells = [
        cell(victim=victim, eps=2.0, gradient=gradient, paper=("table_1", "eps=2", victim, gradient))
        for victim, gradient in reversed(places)
    ]
    cells.append(cell(eps=1.0, gradient="lgm", slope=0.5, paper=("table_1", "eps=1", "dynconv8-cifar10", "lgm")))
    results = [result(one, change=None if one.victim.name.startswith("resnet") else 0.125) for one in cells]
    (table,) = build_tables(frame_of(results))
    return table


def test_the_papers_number_stands_beside_ours() -> None:
    table = table_1()
    assert str(table.entry("eps=2", FGM_ACC)) == "25.00 (21.45)"
    assert str(table.entry("eps=2", Column("dynconv32-cifar10", "lgm", "Arch. chg."))) == "12.50 (2.70)"
    assert str(table.entry("eps=2", Column("dynconv8-cifar10", "fgm", "Acc."))) == "25.00"
    assert str(table.entry(CLEAN, FGM_ACC)) == "80.00 (92.63)"
    assert table.entry("eps=1", FGM_ACC) is None
    assert table.entry(CLEAN, Column("dynconv32-cifar10", "lgm", "Arch. chg.")) is None


def test_rows_and_columns_are_in_the_papers_order_and_others_behind() -> None:
    table = table_1()
    assert table.rows == [CLEAN, "eps=1", "eps=2"]
    assert list(table.groups()) == ["dynconv32-cifar10", "resnet32-cifar10", "dynconv8-cifar10"]
    assert [(c.variant, c.header) for c in table.groups()["dynconv8-cifar10"]] == [
        ("fgm", "Acc."),
        ("fgm", "Arch. chg."),
        ("lgm", "Acc."),
        ("lgm", "Arch. chg."),
    ]


def test_static_victims_have_no_architecture() -> None:
    assert [column.header for column in table_1().groups()["resnet32-cifar10"]] == ["Acc."]


def test_attacks_have_success_rates() -> None:
    one = cell(
        attack="bim", eps=8.0, valid_pixels=0.05, paper=("table_2", "bim 5%", "dynconv32-cifar10", "fgm-targeted")
    )
    (table,) = build_tables(frame_of([result(one, accuracy=0.4)]))
    column = Column("dynconv8-cifar10", "fgm-targeted", "Suc.")
    assert (table.rows, str(table.entry("bim 5%", column))) == (["bim 5%"], "50.00 (15.79)")


def test_results_of_no_table_name_what_they_are() -> None:
    cells = [ONE, cell(attack="bim", eps=8.0, valid_pixels=0.05), cell(attack="bim", eps=8.0, valid_pixels=0.0005)]
    (table,) = build_tables(frame_of(result(one) for one in cells))
    assert table.rows == [
        CLEAN,
        "fgsm eps=1 (2/255)",
        "bim 5% pixels eps=8 (16/255)",
        "bim 0.050% pixels eps=8 (16/255)",
    ]
    assert {column.header for column in table.columns} == {"Acc.", "Arch. chg."}
    assert (table.name, table.title) == (
        "results-cifar10",
        "cifar10: Accuracy before and after attacks",
    )
    assert "In percent." in table.notes


def test_no_number_hides_another() -> None:
    (table,) = build_tables(frame_of([result(), result(cell(seed=1), accuracy=0.5)]))
    numbers = [str(table.entry("fgsm eps=1 (2/255)", Column(group, "fgm", "Acc."))) for group in table.groups()]
    assert numbers == ["25.00", "50.00"]


def test_different_numbers_of_images_are_said_at_each_number() -> None:
    (table,) = build_tables(frame_of([result(), result(cell(eps=2.0), n_samples=50)]))
    column = Column("dynconv8-cifar10", "fgm", "Acc.")
    assert str(table.entry("fgsm eps=2 (4/255)", column)) == "25.00 n=50"


def test_an_attack_on_nothing_has_no_success_rate() -> None:
    (table,) = build_tables(frame_of([result(cell(targeted=True), success_rate=None, n_attacked=0)]))
    assert str(table.entry("fgsm eps=1 (2/255)", Column("dynconv8-cifar10", "fgm-targeted", "Suc."))) == "–"


def test_notes_say_what_was_measured() -> None:
    (table,) = build_tables(frame_of([result(cell(limit=100)), result(cell(gradient="lgm", slope=0.5, limit=100))]))
    assert table.notes[1:] == [
        "Measured on the first 100 cifar10 test images.",
        "Protocol official (an eps of 1 is 2/255 of the intensity range); seed 0.",
        "Slope for dynconv8-cifar10: 0.5.",
    ]


def test_notes_count_in_words_and_tell_the_unit_of_each_protocol() -> None:
    (one,) = build_tables(frame_of([result(cell(limit=1), n_samples=1)]))
    assert one.notes[1] == "Measured on the first cifar10 test image."
    (both,) = build_tables(frame_of([result(), result(cell(protocol="standard", eps=1 / 255))]))
    assert both.rows[1:] == ["fgsm eps=1/255", "fgsm eps=1 (2/255)"]
    assert "official (an eps of 1 is 2/255 of the intensity range) and standard" in both.notes[2]


def test_the_commonest_slope_goes_without_its_rows() -> None:
    cells = [cell(eps=float(eps), gradient="lgm", slope=5.0) for eps in range(1, 5)]
    cells.append(cell(attack="cw", gradient="lgm", slope=35.0))
    (table,) = build_tables(frame_of(result(one) for one in cells))
    assert table.notes[-1] == "Slope for dynconv8-cifar10: 35 for cw eps=1 (2/255), 5 otherwise."


def test_a_terminal_shows_every_number_however_narrow() -> None:
    for width in (40, 80, 200):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(to_rich(table_1()))
        text = console.export_text()
        assert "…" not in text
        if width >= 80:
            assert "25.00 (21.45)" in text
            assert "80.00 (92.63)" in text


def test_markdown() -> None:
    lines = to_markdown(table_1()).splitlines()
    assert lines[0].startswith("**Table I, ")
    rows = {line.split(" | ")[0]: line for line in lines if line.startswith("|")}
    assert len({row.count("|") for row in rows.values()}) == 1
    assert "25.00 (21.45)" in rows["| 2"]
    assert lines[-1].startswith("- Slope for dynconv8-cifar10")


def test_latex_has_as_many_columns_as_it_says() -> None:
    text = to_latex(table_1())
    body = [line for line in text.splitlines() if line.startswith(("clean", "1 ", "2 "))]
    n_columns = len(table_1().columns)
    assert f"{{l{'r' * n_columns}}}" in text
    assert [line.count("&") for line in body] == [n_columns] * 3
    assert text.count("{") == text.count("}")
    assert "%" not in text.replace("{!}{%", "").replace(r"\%", "")


def test_what_means_something_to_latex_is_escaped() -> None:
    assert tex(r"a_b & 5 % of $x^{2} ~ #1 \n, p < 0.1 – so") == (
        r"a\_b \& 5 \% of \$x\textasciicircum{}\{2\} \textasciitilde{} \#1 \textbackslash{}n, p $<$ 0.1 -- so"
    )
