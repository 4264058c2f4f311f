"""`lgm_bench.evaluate` on a user's own network and data."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from attack_cases import Gated, batch_for, images
from ensemble_cases import Ungated
from pandas.testing import assert_frame_equal
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from toys import HalfOpen, Masked, Rounded, Undecided, grey

import lgm_bench
from lgm_bench import LGM, Occupancy
from lgm_bench import Gated as Gate
from lgm_bench.attacks import AutoAttack
from lgm_bench.attacks.standard import SCHEDULES
from lgm_bench.errors import ConfigError
from lgm_bench.standard.averaged import Averaged
from lgm_bench.standard.board import enter
from lgm_bench.standard.evaluate import NORMS

EPS = 44 / 255
quickly = partial(lgm_bench.evaluate, eps=EPS, budget="standard-fast", progress=False)


def judged(network: nn.Module, count: int = 20) -> tuple[Tensor, Tensor]:
    """Images with the network's own predictions as labels, but for the first."""
    x, labels, _ = batch_for(network, images(count))
    labels[0] = (labels[0] + 1) % 5
    return x, labels


def test_a_masked_network_falls_under_standard_and_not_under_fgm() -> None:
    result = lgm_bench.evaluate(
        Masked(), (grey(0.52), torch.zeros(4).long()), 8 / 255, budget="standard-fast", progress=False
    )
    figures = {name: figure.value for name, figure in result.accuracies.items()}
    assert figures["clean_accuracy"] == figures["fgm_accuracy"] == figures["control_accuracy"] == 1
    assert figures["accuracy"] == figures["gradient_accuracy"] == 0
    assert set(result.broken_by) <= {"apgd-ce/lgm@6", "apgd-ce/straight-through@6", "apgd-t/lgm@6"}
    assert [flag.name for flag in result.flags][-1] == "zero gradients"
    assert "4 of 4 images is exactly 0 under FGM" in result.summary()
    assert result.gain.value == 1


def test_rows_are_what_the_network_does() -> None:
    network = Gated()
    x, labels = judged(network)
    frame = quickly(network, (x, labels)).frame
    assert len(frame) == 20
    assert frame["label"].tolist() == labels.tolist()
    assert frame["felled_by"][0] == "clean"
    assert frame["gradients"][0] == frame["control_gradients"][0] == 0
    assert (frame["correct"] == frame["felled_by"].isna()).all()
    assert (frame["correct"] == (frame["adversarial_prediction"] == frame["label"])).all()
    assert 0 < frame["correct"].sum() < 19
    assert not (frame["control_correct"] & ~frame["fgm_correct"]).any()
    assert frame["distance"].max() <= EPS + 1e-6
    assert frame["within_bounds"].all()
    assert frame.loc[frame["correct"], "gradients"].nunique() == 1


@pytest.mark.parametrize(("norm", "eps"), [("linf", 28 / 255), ("l2", 1.2)])
def test_a_static_network_has_autoattacks_number(norm: str, eps: float) -> None:
    network, budget = Ungated(), NORMS[norm](eps)
    x, labels = judged(network, 24)
    result = quickly(network, (x, labels), eps=eps, norm=norm)
    ids = result.frame["id"].tolist()
    theirs = AutoAttack(budget, steps=6, queries=60, target_classes=2).attack(network, x, labels, ids=ids)
    assert result.frame["felled_by"].fillna("").tolist() == [theirs.felled_by.get(name, "") for name in ids]
    assert result.members == ("apgd-ce", "apgd-t", "fab-t", "square")
    assert result.gain.value == 0
    assert result.frame["control_correct"].tolist() == result.frame["felled_by"].isin(["square"]).where(
        result.frame["felled_by"].notna(), True
    ).tolist()  # fmt: skip
    alone = AutoAttack(budget, steps=6, members=["apgd-ce"]).attack(network, x, labels, ids=ids)
    assert result.frame["fgm_correct"].tolist() == [name not in alone.felled_by for name in ids]
    assert "no gates" in result.summary()
    assert result.static
    assert 0 < result.frame["correct"].sum() < 23


def test_what_square_alone_fells_is_no_lead_over_the_control() -> None:
    result = quickly(Rounded().eval(), (grey(0.515, 6), torch.zeros(6).long()), eps=16 / 255)
    assert result.broken_by == {"square": 6}
    assert result.accuracies["control_accuracy"].value == result.accuracies["gradient_accuracy"].value == 1
    assert result.accuracies["accuracy"].value == result.gain.value == 0


def test_batches_change_no_result() -> None:
    network = Gated()
    x, labels = judged(network, 12)
    one = quickly(network, (x, labels)).frame
    for data in (DataLoader(TensorDataset(x, labels), batch_size=7), [(x[:5], labels[:5]), (x[5:], labels[5:])]):
        assert_frame_equal(quickly(network, data).frame, one, rtol=1e-6)


class Stops:
    """Batches of which reading the last stops the program, from the third time on."""

    def __init__(self, x: Tensor, labels: Tensor) -> None:
        self.batches = [(x[start : start + 5], labels[start : start + 5]) for start in range(0, len(x), 5)]
        self.times = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.times += 1
        for number, batch in enumerate(self.batches):
            if self.times == 3 and number == 3:
                raise KeyboardInterrupt
            yield batch


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    network = Gated()
    x, labels = judged(network)
    whole = quickly(network, (x, labels)).frame
    data = Stops(x, labels)
    with pytest.raises(KeyboardInterrupt):
        quickly(network, data, out=tmp_path)
    seen = []
    hook = network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    again = quickly(network, data, out=tmp_path)
    hook.remove()
    finished = x[5:15]  # the first five are among the pilot samples, on which the network is calibrated again
    assert_frame_equal(again.frame, whole, rtol=1e-6)
    attacked = torch.cat([inputs for inputs in seen if len(inputs) <= 5])
    assert not any(bool((attacked == image).flatten(1).all(dim=1).any()) for image in finished)
    calls = len(seen)
    assert_frame_equal(quickly(network, data, out=tmp_path).frame, whole, rtol=1e-6)
    assert calls == len(seen), "the hook is gone"


def test_another_network_other_images_or_another_schedule_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, labels = judged(Gated(), 6)
    quickly(Gated(), (x, labels), out=tmp_path)
    quickly(Gated(seed=1), (x, labels), out=tmp_path)
    quickly(Gated(), (x, labels.flip(0)), out=tmp_path)
    quickly(Gated(), (x, labels), out=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    other = Gated()
    other.occupancy = Occupancy(inclusive=True)  # the weights are the same
    quickly(other, (x, labels), out=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    monkeypatch.setitem(SCHEDULES, "standard-fast", replace(SCHEDULES["standard-fast"], queries=59))
    quickly(other, (x, labels), out=tmp_path)
    assert len(list(tmp_path.iterdir())) == 5


def test_a_network_that_draws_lots_is_evaluated_as_the_mean_of_its_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, data = Undecided(), (grey(0.525, 6), torch.zeros(6).long())
    result = quickly(network, data, eps=8 / 255, out=tmp_path)
    frame = result.frame
    assert result.flags[0].name == "not deterministic"
    assert (frame["correct"] == frame["felled_by"].isna()).all()
    assert result.accuracies["fgm_accuracy"].value == 1, "FGM has no gradient here"
    assert result.accuracies["accuracy"].value == 0
    monkeypatch.setattr("lgm_bench.standard.image_stage.random_flag", lambda *_: [])  # a draw that shows nothing
    again = quickly(network, data, eps=8 / 255, out=tmp_path)
    assert_frame_equal(again.frame, frame)
    assert again.flags == result.flags
    with pytest.raises(ConfigError, match="draws lots"):
        enter(result, tmp_path / "board", data="grey", limited=False, source=None)


def test_a_verdict_that_is_drawn_is_the_one_with_which_the_image_fell() -> None:
    frame = quickly(Undecided(), (grey(0.505, 24), torch.zeros(24).long()), eps=1 / 255).frame
    assert (frame["correct"] == frame["felled_by"].isna()).all()


def test_the_mean_of_several_passes() -> None:
    network, x = Undecided(), grey(0.505)
    torch.manual_seed(0)
    single = [network(x) for _ in range(3)]
    torch.manual_seed(0)
    assert torch.equal(Averaged(network, 3)(x), sum(single) / 3)
    assert len({tuple(logits[:, 0].tolist()) for logits in single}) > 1


def test_an_instrumented_network_within_an_l2_ball() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1), nn.Flatten(), nn.Linear(384, 5)
    )
    network = lgm_bench.instrument(plain, {"2": Gate(lambda x: x.mean(dim=(1, 2, 3)) - 0.2, off="input")}).eval()
    x, labels, _ = batch_for(network, images(8).float())
    result = lgm_bench.evaluate(network, (x, labels), 0.5, norm="l2", budget="standard-fast", progress=False)
    assert result.frame["distance"].max() <= 0.5 + 1e-5
    assert {"apgd-ce/lgm@6", "apgd-ce/always-on", "square"} < set(result.members)
    before, after = result.compute
    assert before > 0
    assert after > 0
    assert "L2 0.5" in result.title


def test_what_is_printed_and_reported(tmp_path: Path) -> None:
    network = Gated()
    result = quickly(network, judged(network), name="<mine>")
    text = result.summary()
    assert text == str(result)
    for said in (
        "<mine>, L-infinity 44/255, standard-1, fast, 20 images",
        "control: FGM with as many gradients",
        "worst case",
    ):
        assert said in text
    page = result.report(tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert "&lt;mine&gt;" in page
    assert "<mine>" not in page
    for name, count in result.broken_by.items():
        assert f"{name}</th><td>{count}</td>" in page


def test_it_says_when_the_control_is_as_good() -> None:
    network = Gated()
    result = quickly(network, judged(network), eps=120 / 255)
    assert result.gain.value == 0
    assert "no better than FGM with as many gradients: +0.0 points" in result.remarks[0]


def test_judge_looks_at_the_network_and_not_at_the_soft_one() -> None:
    network, x = Masked(), grey(0.51)
    labels = torch.zeros(4, dtype=torch.int64)
    leaded = lgm_bench.Leaded(network, LGM(1.0))
    assert not lgm_bench.judge(network, x, labels).any()
    assert not lgm_bench.judge(leaded, x, labels).any()
    assert lgm_bench.judge(leaded, x - 0.02, labels.to(torch.int32)).all()
    with pytest.raises(ConfigError, match="must lie in"):
        lgm_bench.judge(network, x + 1, labels)
    half_open, below = HalfOpen(), grey(0.49)
    soft = lgm_bench.Leaded(half_open, LGM(1.0))
    assert (soft(below.requires_grad_()).argmax(dim=1) == 0).all()
    assert lgm_bench.judge(soft, below.detach(), labels).all(), "the gate is shut, and the hard network says class 1"


def test_a_layer_that_stays_random_is_averaged_as_it_is() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 4)).eval()
    network[1].train()
    result = quickly(network, (grey(0.5), torch.zeros(4).long()))
    assert result.flags[0].name == "not deterministic"
    assert network[1].training
    assert not network.training


def test_autocast_around_the_call_changes_nothing() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).eval()
    data = grey(0.5), torch.zeros(4).long()
    plain = quickly(network, data).frame
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_frame_equal(quickly(network, data).frame, plain)


def test_a_gain_on_every_image_is_certain_unless_there_are_few() -> None:
    for count, said in ((4, "It is not certain"), (5, "The members together leave less than FGM")):
        result = quickly(Masked(), (grey(0.52, count), torch.zeros(count).long()), eps="8/255")
        assert result.gain == (1.0, None)
        assert result.remarks[0].startswith(said)
        assert result.remarks[0].endswith("+100.0 points.")


def test_few_images_have_no_interval() -> None:
    network = Gated()
    x, labels = judged(network, 5)
    intervals = [
        quickly(network, (x[:count], labels[:count])).accuracies["clean_accuracy"].interval for count in (4, 5)
    ]
    assert intervals[0] is None
    assert intervals[1] is not None


def test_a_damaged_plan_is_made_anew(tmp_path: Path) -> None:
    network = Gated()
    data = judged(network, 6)
    whole = quickly(network, data, out=tmp_path)
    (plan,) = tmp_path.glob("*/plan.json")
    content = plan.read_bytes()
    plan.write_bytes(content[:20])
    again = quickly(network, data, out=tmp_path)
    assert again.members == whole.members
    assert plan.read_bytes() == content


def test_a_frame_is_a_table_of_plain_values() -> None:
    network = Gated()
    frame = quickly(network, judged(network, 6)).frame
    assert isinstance(frame, pd.DataFrame)
    assert {"id", "label", "correct", "felled_by", "gradients", "fgm_correct", "control_correct"} < set(frame.columns)
    assert "voxels" not in frame.columns
