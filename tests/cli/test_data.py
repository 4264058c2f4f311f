from pathlib import Path

from answers import Command
from street_and_shape_files import write_semantickitti, write_text_shapes


def test_a_data_set_is_prepared_once(lgm_bench: Command, tmp_path: Path) -> None:
    root = write_text_shapes(tmp_path / "modelnet40", ["bed_0001", "bed_0516"])
    first = lgm_bench("data", "prepare", "modelnet40", "--data-root", root)
    assert (first.code, first.out) == (0, "modelnet40: 2 scenes prepared, 0 were prepared before\n")
    again = lgm_bench("data", "prepare", "modelnet40", "--data-root", root, "--quiet")
    assert (again.code, again.out) == (0, "modelnet40: 0 scenes prepared, 2 were prepared before\n")


def test_what_is_fast_is_said_to_be(lgm_bench: Command, tmp_path: Path) -> None:
    root = write_semantickitti(tmp_path, {"08": 2})
    answer = lgm_bench("data", "prepare", "semantickitti", "--data-root", root)
    assert answer.out == "semantickitti: nothing to prepare, since its 2 scenes are read fast already\n"
    assert answer.err.startswith("semantickitti: subset train is left out: no scans of SemanticKITTI's sequences 00")
    assert answer.err.count("\n") == 1
    assert not lgm_bench("data", "prepare", "semantickitti", "--data-root", root, "--quiet").err


def test_mistakes_are_named(lgm_bench: Command) -> None:
    for name, message in (
        ("modelnet4", "error: unknown data set 'modelnet4'; did you mean modelnet40"),
        ("modelnet40", "error: no ModelNet40 in data/modelnet40"),
        ("cifar10", "error: cifar10 is read fast without preparation; only point clouds are prepared"),
    ):
        answer = lgm_bench("data", "prepare", name)
        assert answer.code == 2
        assert answer.err.startswith(message)
        assert answer.err.count("\n") == 1


def test_an_unknown_action_is_refused(lgm_bench: Command) -> None:
    answer = lgm_bench("data", "prepar", "modelnet40")
    assert answer.code == 2
    assert "prepare" in answer.err
