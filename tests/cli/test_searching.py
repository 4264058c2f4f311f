import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from answers import TINY, Command

from lgm_bench.tasks.inputs import parse_number
from victims import load_victim
from victims.checkpoints import shipped_store, user_store
from victims.registry import REGISTRY_FILE


def test_search_tries_every_slope_and_names_the_best(lgm_bench: Command, tiny_root: Path) -> None:
    here = ("--data", TINY, "--data-root", tiny_root, "--accelerator", "cpu")
    command = (
        "search",
        "dynconv8-cifar10",
        "--checkpoint",
        "random",
        *here,
        "--eps",
        "2/255,16/255",
        "--slopes",
        "1,2",
    )
    answer = lgm_bench(*command)
    assert answer.code == 0, answer.err
    assert "10 tiny_cifar10:TinyCIFAR10 holdout images" in answer.out
    record = json.loads(Path("results/search-dynconv8-cifar10-fgsm.json").read_text())
    assert [(score["eps"], score["slope"]) for score in record["scores"]] == [
        (eps, slope) for eps in (2 / 255, 16 / 255) for slope in (None, 1.0, 2.0, "auto")
    ]
    for best in record["best"]:
        left = {s["slope"]: s["accuracy"] for s in record["scores"] if s["eps"] == best["eps"] and s["slope"]}
        assert left[best["slope"]] == min(left.values())
    line = re.search(r"^  - (\{.*\})$", answer.out, re.MULTILINE)
    assert line
    slopes = yaml.safe_load(line[1])["slopes"]["fgsm"]
    assert {parse_number(eps): slope for eps, slope in slopes.items()} == {
        best["eps"]: best["slope"] for best in record["best"]
    }
    for warning in record["warnings"]:
        assert f"Warning: {warning}" in Path("results/search-dynconv8-cifar10-fgsm.md").read_text()
    again = lgm_bench(*command, "--json")
    assert again.json == record
    assert again.err.count("(from the results folder, 2") == 8


@pytest.mark.parametrize("eps", [2 / 255])
def test_on_a_trained_network_the_best_slope_beats_fgm(lgm_bench: Command, samples: Path, eps: float) -> None:
    weights, data = samples / "weights" / "dynconv8-cifar10.pth", samples / "data"
    here = ("--checkpoint", weights, "--data-root", data, "--accelerator", "cpu", "--limit", "100")
    answer = lgm_bench("search", "dynconv8-cifar10", *here, "--eps", eps, "--slopes", "0.5,2", "--json")
    assert answer.code == 0, answer.err
    scores = {score["slope"]: score["accuracy"] for score in answer.json["scores"]}
    assert answer.json["best"] == [{"eps": eps, "slope": 2.0}]
    assert scores[2.0] < scores[0.5]
    assert scores[2.0] < scores[None]


def test_stored_slopes_are_those_of_the_next_attack(lgm_bench: Command, tiny_root: Path, tmp_path: Path) -> None:
    torch.save(load_victim("dynconv8-cifar10", "random").network.state_dict(), tmp_path / "net.pth")
    assert lgm_bench("import", "dynconv8-cifar10", tmp_path / "net.pth").code == 0
    here = ("--data", TINY, "--data-root", tiny_root, "--accelerator", "cpu")
    assert lgm_bench("search", "dynconv8-cifar10", *here, "--eps", "8/255", "--slopes", "3", "--store").code == 0
    (entry,) = user_store().entries()
    (stored,) = entry.slopes
    assert (stored.attack, stored.protocol, stored.steps) == ("fgsm", "standard", 1)
    assert stored.samples == "10 tiny_cifar10:TinyCIFAR10 holdout images"
    attack = lgm_bench("attack", "dynconv8-cifar10", *here, "--eps", "8/255", "--gradient", "lgm", "--json")
    assert attack.json["results"][0]["cell"]["gradient"]["slope"] == stored.slopes["8/255"]


def test_slopes_of_shipped_weights_are_stored_with_a_copy_of_these(lgm_bench: Command) -> None:
    before = (shipped_store().folder / REGISTRY_FILE).read_bytes()
    command = ("search", "dynconv8-mini", "--eps", "8/255", "--slopes", "0.5,5", "--limit", "10", "--store")
    assert lgm_bench(*command).code == 0
    (entry,) = user_store().entries()
    shipped = shipped_store().ready("dynconv8-mini")
    assert shipped is not None
    assert (entry.file, entry.sha256, entry.training) == (shipped.file, shipped.sha256, None)
    assert entry.slopes[-1].samples == "10 digits holdout images"
    assert user_store().content(entry) == shipped_store().content(shipped)
    assert (shipped_store().folder / REGISTRY_FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--checkpoint", "random"), "no registry has random"), (("--subset", "test"), "leave out --subset test")],
)
def test_what_cannot_be_stored_is_refused_before_the_search(
    lgm_bench: Command, options: tuple[str, ...], message: str
) -> None:
    answer = lgm_bench("search", "dynconv8-mini", "--eps", "8/255", "--slopes", "3", "--store", *options)
    assert (answer.code, message in answer.err) == (2, True)
    assert not Path("results").exists()
