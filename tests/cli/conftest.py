"""The command line in this process, with miniature data and no checkpoints of the user's."""

from pathlib import Path

import pytest
from answers import TINY, Answer, Command
from miniatures import write_cifar10
from typer.testing import CliRunner

from lgm_bench.cli import app


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cifar10(tmp_path_factory.mktemp("tiny"), train=60, test=12)


@pytest.fixture
def lgm_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `lgm-bench ...` in an empty folder; an exception that is no exit of the command's is raised."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LGM_BENCH_CHECKPOINTS", str(tmp_path / "store"))
    monkeypatch.delenv("LGM_BENCH_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: object) -> Answer:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="lgm-bench")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def tiny_bench(tmp_path: Path, tiny_root: Path) -> Path:
    """A benchmark file of two adaptive victims: four cells."""
    path = tmp_path / "my.yaml"
    path.write_text(f"""
        run: {{data_root: {tiny_root}, accelerator: cpu}}
        suites:
          tiny:
            grids:
              - data: {TINY}
                victims:
                  - {{name: "tiny_networks:Adaptive", slopes: {{fgsm: 1}}}}
                  - {{name: dynconv8-cifar10, checkpoint: random}}
                attacks: fgsm
                eps: 2/255
    """)
    return path
