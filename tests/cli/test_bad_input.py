"""Whatever files and flags hold: an error of ours with exit code 2, never a traceback, and never 1 (a regression)."""

import json
import os
from pathlib import Path

import pytest
import yaml
from answers import Answer, Command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ABSENT = ("attack", "resnet20-cifar10", "--checkpoint", "random", "--data-root", "nowhere")
GRID = "{victims: resnet8-mini, attacks: fgsm, eps: 6/255}"
BOMB = "\n".join(["a0: &a0 [1]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))])
MANY = f"suites: {{s: {{grids: [{', '.join([GRID] * 30_000)}]}}}}"
DEEP_JSON = "[" * 100_000

fuzzed = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def refused(answer: Answer, words: str = "") -> None:
    assert answer.code == 2, answer.err
    assert "Traceback" not in answer.err
    assert words in answer.err
    assert len(answer.err) < 20_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("defaults: {seed: 2024-99-99}", "not valid YAML"),
        ('defaults: {seed: !!int "abc"}', "not valid YAML"),
        (f"defaults: {{seed: {'9' * 5000}}}", "not valid YAML"),
        ("suites: &s {mine: *s}", "contains itself"),
        ("suites: " + "[" * 3000, "levels deep"),
        ("suites: " + "[" * 100 + "]" * 100, "levels deep"),
        ("? [a, b]\n: 1", "a key is a list or mapping"),
        (BOMB, "at most 50,000 are allowed"),
        (MANY, "at most 50,000 are allowed"),
        (f"defaults: {{seed: {2**64}}}\nsuites: {{s: {{grids: [{GRID}]}}}}", "defaults.seed: expected less than"),
        ('run: {out: "a\\0b"}\nsuites: {}', "NUL"),
        ('run: {out: ""}\nsuites: {}', "run.out: must not be empty"),
        ("suites: {s: {grids: [" + ", ".join(["1"] * 1000) + "]}}", "and 980 more"),
    ],
)
def test_a_benchmark_file(tmp_path: Path, lgm_bench: Command, text: str, words: str) -> None:
    (tmp_path / "my.yaml").write_text(text)
    refused(lgm_bench("run", "my.yaml", "--dry-run"), words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--dry-run", "--set", "suites.mini.grids.².eps=1"), "expected an index"),
        (("run", "--dry-run", "--out", ""), "'' after --out is empty"),
        (("run", "--dry-run", "--out="), "'--out=' after --dry-run is empty"),
        (("run", "--dry-run", "--out", "a\0b"), "NUL"),
        ((*ABSENT, "--steps", "9" * 20, "--attack", "bim"), "would take years"),
        ((*ABSENT, "--eps", "0"), "changes no image"),
        ((*ABSENT, "--eps", "1e-30"), "changes no image"),
        ((*ABSENT, "--seed", str(2**64)), "--seed: expected less than"),
        (("run", "--seed", str(2**64)), "seed must be from 0 to 2**64 - 1"),
        ((*ABSENT[:-1], "~nosuchuser/x"), "~nosuchuser/x"),
        (("attack", "resnet8-mini", "--checkpoint", "~nosuchuser/x.pth"), "~nosuchuser/x.pth"),
        (("attack", "resnet8-mini", "--checkpoint", "loop.pth"), "loop.pth"),
        (("import", "resnet20-cifar10", "loop.pth"), "loop.pth"),
        (("compare", ".", "--against", "deep.json", "--update"), "deep.json"),
        (("show", "loop.pth"), "loop.pth"),
        (("run", "pipe.yaml", "--dry-run"), "pipe.yaml is a named pipe"),
        (("compare", ".", "--against", "pipe.json", "--update"), "pipe.json is a named pipe"),
        (("import", "resnet20-cifar10", "pipe.safetensors"), "pipe.safetensors is a named pipe"),
        (("import", "resnet20-cifar10", "pipe.pth"), "pipe.pth"),
        (("report", "pipe.json"), "pipe.json is a named pipe"),
        (("show", "pipe.json"), "pipe.json is a named pipe"),
        (("show", "piped"), "piped has no finished cells (1 that cannot be read)"),
        (("attack", "resnet8-mini", "--devices", "9999"), "--devices 9999: this machine's cores allow at most"),
    ],
)
def test_flags(tmp_path: Path, lgm_bench: Command, arguments: tuple[str, ...], words: str) -> None:
    (tmp_path / "loop.pth").symlink_to("loop.pth")
    (tmp_path / "deep.json").write_text(DEEP_JSON)
    for ending in ("yaml", "json", "pth", "safetensors"):
        os.mkfifo(tmp_path / f"pipe.{ending}")
    (tmp_path / "piped" / "cell").mkdir(parents=True)
    os.mkfifo(tmp_path / "piped" / "cell" / "result.json")
    refused(lgm_bench(*arguments), words)


@pytest.mark.parametrize("environment", [{"RANK": "²", "WORLD_SIZE": "2"}, {"RANK": "1"}, {"RANK": "-1"}])
def test_numbers_of_processes(lgm_bench: Command, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    refused(lgm_bench("run"), "the environment variables that number the processes make no sense")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("data", ["cifar10", "imagenet", "scannet", "s3dis", "semantickitti", "modelnet40"])
def test_a_data_root_without_permission(tmp_path: Path, lgm_bench: Command, data: str) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    refused(lgm_bench("attack", "resnet8-mini", "--data", data, "--data-root", "closed"))


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
words = st.sampled_from(
    ["victims", "attacks", "eps", "data", "limit", "seed", "gradients", "slope", "targeted", "step"]
)
grids = st.dictionaries(words, plain, max_size=4).map(lambda grid: yaml.safe_load(GRID) | grid)
suites = st.lists(grids | plain, max_size=2).map(lambda found: {"suites": {"s": {"grids": found}}})


@fuzzed
@given(text=st.text(max_size=60) | (plain | suites).map(lambda value: yaml.safe_dump(value, allow_unicode=True)))
def test_any_benchmark_file(tmp_path: Path, lgm_bench: Command, text: str) -> None:
    (tmp_path / "my.yaml").write_text(text, encoding="utf-8")
    answer = lgm_bench("run", "my.yaml", "--victim", "resnet20-cifar10", "--dry-run")
    if answer.code:
        refused(answer)


@fuzzed
@given(content=st.binary(max_size=60) | plain.map(lambda value: json.dumps(value).encode()))
def test_any_json(tmp_path: Path, lgm_bench: Command, content: bytes) -> None:
    folder = tmp_path / "results" / "cell-0123456789abcdef"
    folder.mkdir(parents=True, exist_ok=True)
    for path in (tmp_path / "board.json", folder / "result.json"):
        path.write_bytes(content)
    refused(lgm_bench("compare", "results", "--against", "board.json"))
    refused(lgm_bench("compare", "results"))
    refused(lgm_bench("show", "results"))
    refused(lgm_bench("report", "results"))


options = st.sampled_from(
    [
        "--attack",
        "--eps",
        "--gradient",
        "--slope",
        "--step",
        "--steps",
        "--valid-pixels",
        "--protocol",
        "--relation",
        "--input-slope",
        "--loss",
        "--data",
        "--subset",
        "--mean",
        "--std",
        "--limit",
        "--seed",
        "--batch-size",
        "--accelerator",
        "--precision",
        "--backend",
        "--checkpoint",
        "--out",
    ]
)
numbers = st.integers() | st.floats()
values = st.text(max_size=8) | numbers.map(str) | st.sampled_from(["bim", "lgm", "a:B", ":"])


@fuzzed
@given(flags=st.lists(st.tuples(options, values), max_size=3))
def test_any_flags(lgm_bench: Command, flags: list[tuple[str, str]]) -> None:
    refused(lgm_bench(*ABSENT, *(part for flag in flags for part in flag)))


@fuzzed
@given(content=st.binary(max_size=80), ending=st.sampled_from(["pth", "th", "pth.tar", "safetensors"]))
def test_any_checkpoint(tmp_path: Path, lgm_bench: Command, content: bytes, ending: str) -> None:
    path = tmp_path / f"my.{ending}"
    path.write_bytes(content)
    refused(lgm_bench("import", "resnet20-cifar10", path))
