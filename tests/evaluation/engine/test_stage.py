"""The attack stage against a plain loop over single images, written down from the protocol."""

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F
from judged import DYNCONV, SKIPNET, STATIC, write_judged
from pytorch_lightning import Trainer
from tiny_cifar10 import TinyCIFAR10
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from datamodules.batch import ImageBatch
from lgm_bench import FGM, LGM, Occupancy, architecture
from lgm_bench.attacks import BIM, FGSM
from lgm_bench.attacks.attack import Attack
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.engine.compute import FiguresOfRows
from lgm_bench.evaluation.engine.stage import AttackStage
from lgm_bench.evaluation.store.record import Preflight
from lgm_bench.evaluation.store.tally import Tally
from lgm_bench.leaded import GradientMethod
from lgm_bench.tasks.images import ImageClassification
from lgm_bench.tasks.tensors import Images
from victims import load_victim
from victims.image_victim import ImageVictim

N, EPS = 9, 8 / 255
Row = dict[str, object]


class Rows:
    """Keeps what a stage produces."""

    def __init__(self) -> None:
        self.tables: list[pa.Table] = []
        self.checks: list[Preflight] = []
        self.iterations: list[tuple[int, int]] = []

    def checked(self, checks: Preflight) -> None:
        self.checks.append(checks)

    def finished(self, rows: pa.Table, seconds: float) -> None:
        assert seconds > 0
        self.tables.append(rows)

    def iteration(self, i: int, steps: int, n: int) -> None:  # noqa: ARG002
        self.iterations.append((i, steps))

    @property
    def table(self) -> pa.Table:
        return pa.concat_tables(self.tables)


@pytest.fixture(scope="module", params=[SKIPNET, DYNCONV, STATIC])
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, TinyCIFAR10]:
    root = write_judged(tmp_path_factory.mktemp("judged"), request.param, N)
    return request.param, TinyCIFAR10(data_root=root, batch_size=4)


def staged(
    victim: ImageVictim, data: TinyCIFAR10, attack: Attack, gradient: GradientMethod, **options
) -> tuple[Rows, dict]:
    sink = Rows()
    stage = AttackStage(victim, attack, gradient, Images(), sink, **options)
    trainer = Trainer(accelerator="cpu", inference_mode=False, logger=False, enable_progress_bar=False)
    trainer.test(stage, datamodule=data, verbose=False)
    figures = FiguresOfRows(ImageClassification)
    figures.update(sink.table)
    return sink, figures.merged()


def images_of(data: TinyCIFAR10) -> list[tuple[Tensor, int, str]]:
    data.setup("test")
    return [
        (image[None], int(label), sample_id)
        for batch in data.test_dataloader()
        for image, label, sample_id in zip(*batch, strict=True)
    ]


def signed_step(victim: ImageVictim, image: Tensor, label: int, gradient: GradientMethod, target: int | None) -> Tensor:
    """One step on one image: eps up the loss of the label, or down that of the target."""
    x = image.clone().requires_grad_()
    with torch.enable_grad(), gradient.applied_to(victim):
        loss = F.cross_entropy(victim(x), torch.tensor([label if target is None else target]))
        loss.backward()
    direction = x.grad.sign() if target is None else -x.grad.sign()
    return (image + EPS * direction).clamp(-1, 1)


@torch.no_grad()
def loop(victim: ImageVictim, data: TinyCIFAR10, gradient: GradientMethod, targets: list[int | None]) -> list[Row]:
    rows = []
    for image, label, sample_id in images_of(data):
        clean = int(victim(image).argmax())
        before = architecture(victim, image)
        for target in targets:
            counts = clean == label if target is None else target not in (clean, label)
            positions = any(type(module).__name__ == "Masker" for module in victim.modules())
            row = {"id": sample_id, "label": label, "target": target, "clean_prediction": clean}
            prediction, after = clean, before
            if counts or positions:
                adversarial = signed_step(victim, image, label, gradient, target)
                prediction, after = int(victim(adversarial).argmax()), architecture(victim, adversarial)
            fell = counts and (prediction != label if target is None else prediction == target)
            changed = [int((b != a).sum()) for b, a in zip(before, after, strict=True)]
            row |= {"adversarial_prediction": prediction, "attacked": counts, "perturbed": counts or positions}
            row |= {"success": fell, "correct": (prediction if counts else clean) == label}
            row["changed_share"] = sum(changed) / sum(unit.numel() for unit in before) if before else None
            rows.append(row)
    return rows


@pytest.mark.parametrize("attacked", [False, True])
def test_logits_that_are_no_numbers_are_no_verdict(judged, attacked: bool) -> None:
    """Neither of clean images, which would count as misclassified, nor of attacked ones, as fallen."""
    name, data = judged
    victim = load_victim(name, "random")
    clean = torch.stack([image[0] for image, _, _ in images_of(data)])

    def spoilt(_: object, inputs: tuple[Tensor], logits: Tensor) -> Tensor:
        known = torch.stack([(clean == image).flatten(1).all(1).any() for image in inputs[0]])
        return logits if torch.is_grad_enabled() else logits.masked_fill((known != attacked)[:, None], torch.nan)

    victim.register_forward_hook(spoilt)
    with pytest.raises(ConfigError, match=r"logits of \d samples are not finite"):
        staged(victim, data, FGSM(EPS), FGM())


@pytest.mark.parametrize("gradient", [FGM(), LGM(1.0)], ids=repr)
def test_untargeted_rows_and_metrics_are_those_of_a_plain_loop(judged, gradient) -> None:
    name, data = judged
    if name == STATIC and gradient.softens:
        pytest.skip("a static network has no other gradient than its own")
    victim = load_victim(name, "random")
    sink, metrics = staged(victim, data, FGSM(EPS, bounds=(-1.0, 1.0)), gradient)
    expected = loop(victim, data, gradient, [None])
    assert [row["attacked"] for row in expected] == [index % 3 != 0 for index in range(N)]
    assert [{key: row[key] for key in expected[0]} for row in sink.table.to_pylist()] == expected
    assert metrics["clean_accuracy"] == pytest.approx(6 / 9)
    assert metrics["accuracy"] == pytest.approx(np.mean([row["correct"] for row in expected]))
    fallen = [row["success"] for row in expected if row["attacked"]]
    assert metrics["success_rate"] == pytest.approx(np.mean(fallen))
    counted = [row["changed_share"] for row in expected if row["attacked"] or name == DYNCONV]
    if name == STATIC:
        assert "architecture_change" not in metrics
    else:
        assert metrics["architecture_change"] == pytest.approx(np.mean(counted))
        assert np.mean(counted) > 0
    figures = Tally.of(sink.table).figures()
    assert metrics == pytest.approx({name: value for name, value in figures.items() if value is not None})
    assert sink.table.column("within_bounds").to_pylist() == [True] * N


def test_compute_is_that_of_a_network_that_skips(judged) -> None:
    """Before the attack, after it, and recovered; of a static network nothing."""
    name, data = judged
    victim = load_victim(name, "random")
    sink, metrics = staged(victim, data, FGSM(EPS), FGM())
    rows = sink.table.to_pylist()
    if name == STATIC:
        assert {row["compute_clean"] for row in rows} == {None}
        assert not any("compute" in figure for figure in metrics)
        return
    for row, (image, label, _) in zip(rows, images_of(data), strict=True):
        attacked = FGSM(EPS).perturb(victim, image, torch.tensor([label])) if row["perturbed"] else image
        for column, x in (("compute_clean", image), ("compute_adversarial", attacked)):
            with FlopCounterMode(display=False) as counter:
                victim.network.deployed((x - victim.mean) / victim.std)
            assert row[column] == pytest.approx(counter.get_total_flops() / 2, rel=1e-9)
    clean, after, full = (
        np.array([row[column] for row in rows]) for column in ("compute_clean", "compute_adversarial", "compute_full")
    )
    perturbed = np.array([row["perturbed"] for row in rows])
    assert metrics["compute_clean"] == pytest.approx(clean.mean() / 1e6)
    assert metrics["compute_attacked"] == pytest.approx(after[perturbed].mean() / 1e6)
    assert metrics["recovered_compute"] == pytest.approx(
        (after - clean)[perturbed].sum() / (full - clean)[perturbed].sum()
    )
    assert metrics["efficacy_clean"] == pytest.approx(1 - (clean / full).mean())
    assert metrics["efficacy"] == pytest.approx(1 - (after / full)[perturbed].mean())
    assert bool((clean < full).any())
    assert bool((clean != after).any())


def test_targeted_takes_every_class_in_turn(judged) -> None:
    name, data = judged
    victim = load_victim(name, "random")
    sink, metrics = staged(victim, data, FGSM(EPS, bounds=(-1.0, 1.0)), FGM(), targeted=True)
    expected = loop(victim, data, FGM(), list(range(10)))
    got = sorted(sink.table.to_pylist(), key=lambda row: (row["id"], row["target"]))
    assert [{key: row[key] for key in expected[0]} for row in got] == expected
    right, wrong = 6, 3  # a wrong one is led neither to the class that it is taken for nor to its label
    assert sum(row["attacked"] for row in got) == 9 * right + 8 * wrong
    assert not any(row["success"] or row["attacked"] for row in got if row["target"] == row["label"])
    assert metrics["success_rate"] == pytest.approx(np.mean([row["success"] for row in got if row["attacked"]]))
    assert {steps for _, steps in sink.iterations} == {10}  # of one step for each class
    assert sink.iterations[0] == (1, 10)


def test_an_active_set_leaves_images_alone_that_do_not_count(judged) -> None:
    name, data = judged
    victim = load_victim(name, "random")
    sink, _ = staged(victim, data, BIM(EPS, steps=3, active_set=True), FGM())
    assert sink.table.column("perturbed").to_pylist() == sink.table.column("attacked").to_pylist()
    assert sum(sink.table.column("attacked").to_pylist()) == 6


def test_checks_look_at_the_given_images_and_find_what_is_wrong(judged) -> None:
    name, data = judged
    victim = load_victim(name, "random")
    data.setup("test")
    probe = next(iter(data.test_dataloader()))
    sink, _ = staged(victim, data, FGSM(EPS), FGM(), probe=probe)
    assert len(sink.checks) == 1
    checks = sink.checks[0]
    assert checks.n_samples == 4
    assert checks.deterministic
    assert checks.batch_invariance < 1e-4
    dead = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10)).requires_grad_(False)
    dead[1].weight.zero_()
    noisy = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10), _Noise())
    assert staged(dead, data, FGSM(EPS), FGM(), probe=probe)[0].checks[0].zero_gradient_share == 1
    assert not staged(noisy, data, FGSM(EPS), FGM(), probe=probe)[0].checks[0].deterministic


class _Branching(torch.nn.Module):
    """Whose gate chooses by branching."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.head = Occupancy(), torch.nn.Linear(3 * 32 * 32, 10)

    def forward(self, images: Tensor) -> Tensor:
        occupancy = self.gate(images.mean((1, 2, 3)) - 0.5)
        return self.head(torch.where(occupancy[:, None] > 0, images.flatten(1), -images.flatten(1)))


def test_what_keeps_a_soft_gradient_from_working_is_said_before_the_cell(judged, caplog) -> None:
    _, data = judged
    data.setup("test")
    probe = next(iter(data.test_dataloader()))
    for gradient, said in ((FGM(), 0), (LGM(5.0), 1)):
        caplog.clear()
        staged(ImageVictim(_Branching(), (0.0,), (1.0,)), data, FGSM(EPS), gradient, probe=probe)
        told = [record.message for record in caplog.records if "gradient does not reach" in record.message]
        assert len(told) == said
    assert "network.gate: multiply what they switch by the occupancy, and do not branch on it" in told[0]


class _Noise(torch.nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return logits + torch.rand_like(logits)


def test_the_stage_freezes_its_victim_and_takes_batches_as_they_are() -> None:
    victim = load_victim(STATIC, "random").train()
    stage = AttackStage(victim, FGSM(EPS), FGM(), Images(), Rows())
    assert not victim.training
    assert not any(parameter.requires_grad for parameter in victim.parameters())
    batch = ImageBatch(torch.rand(3, 3, 32, 32), torch.tensor([1, 2, 3]), ["a", "b", "c"])
    clean = Images().judged(victim, *batch[:2], None, batch.ids)
    (outcome,) = list(stage.outcomes(batch, clean))
    assert outcome.table(ImageClassification).column("id").to_pylist() == ["a", "b", "c"]
