"""Pictures of gates, by the shape of what they decide, and what is kept of a forward pass for them."""

import base64
import io
import re

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from lgm_bench.leaded import Choice, Exit, Occupancy, TopK
from lgm_bench.leaded.recording import hard_calls
from lgm_bench.report.gate_pictures import OFF, ON, gate_rows
from lgm_bench.tasks.samples import GateRecord, SavedImage
from lgm_bench.tasks.tensors import Images

IMAGE = np.full((32, 32, 3), 200, np.uint8)
NONE = torch.empty(0)


def record(name: str, on: Tensor, chooses: str = "", score: Tensor = NONE, threshold: Tensor = NONE) -> GateRecord:
    return GateRecord(torch.tensor(0), name, chooses, on.bool(), score, threshold)


def pixels(markup: str) -> np.ndarray:
    source = re.search(r'src="data:image/\w+;base64,([^"]+)"', markup)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.group(1)))).convert("RGBA"))[..., :3].astype(int)


def near(picture: np.ndarray, colour: np.ndarray) -> int:
    """How many pixels have about this colour, laid over the image."""
    return int((np.abs(picture - (0.35 * 200 + 0.65 * colour)).max(-1) < 12).sum())


def test_one_decision_for_each_unit_is_a_square_and_changes_are_named() -> None:
    before = [record(f"gate{number}", torch.tensor([[float(on)]])) for number, on in enumerate((1, 0, 1))]
    after = [record(f"gate{number}", torch.tensor([[float(on)]])) for number, on in enumerate((1, 1, 0))]
    (row,) = gate_rows([before, after], IMAGE)
    assert row.title == "3 decisions, one for each unit"
    clean, attacked = row.cells
    assert 'aria-label="2 of 3 on"' in clean
    assert 'aria-label="2 of 3 on; changed: gate1, gate2"' in attacked
    assert re.findall(r'<i class="([^"]*)"', attacked) == ["on", "on changed", "off changed"]
    assert 'title="gate2: on → off"' in attacked


def test_masks_lie_over_the_image_and_changed_places_are_coloured() -> None:
    mask = torch.zeros(1, 8, 8)
    mask[:, :4] = 1
    changed = mask.clone()
    changed[0, 0, 0], changed[0, 7, 7] = 0, 1
    (row,) = gate_rows([[record("a", mask)], [record("a", changed)]], IMAGE)
    clean, attacked = (pixels(cell) for cell in row.cells)
    assert "32 of 64<" in row.cells[0]
    assert "32 of 64, 2 changed" in row.cells[1]
    assert near(clean, ON) == near(clean, OFF) == 0
    assert near(attacked, ON) == near(attacked, OFF) == 16, "a place of 4 x 4 pixels each"
    assert (clean[:16] > 190).all()
    assert (clean[16:] < 170).all(), "what is skipped is grey"


def test_tokens_lie_over_the_image_where_they_make_a_square_without_the_class_token() -> None:
    kept = torch.zeros(17)
    kept[0], kept[1] = 1, 1
    (row,) = gate_rows([[record("keep", kept, "some")]], IMAGE)
    assert row.title == "Tokens kept: 1 unit"
    assert (pixels(row.cells[0])[:8, :8] > 190).all()
    assert (pixels(row.cells[0])[8:] < 170).all()
    (channels,) = gate_rows([[record("channels", kept[1:])]], IMAGE)
    assert channels.title == "16 decisions", "without a choice among them they are no places"


def test_exits_have_confidences_and_thresholds_and_experts_scores() -> None:
    early = record("exit", torch.tensor([0.0, 1, 0]), "one", torch.tensor([0.2, 0.9]), torch.tensor([0.5, 0.75]))
    last = record("exit", torch.tensor([0.0, 0, 1]), "one", torch.tensor([0.1, 0.6]), torch.tensor([0.5, 0.75]))
    (row,) = gate_rows([[early], [last]], IMAGE)
    clean, attacked = row.cells
    assert "exit 2 of 3" in clean
    assert 'aria-label="score 0.90, threshold 0.75"' in clean
    assert "exit 3 of 3" in attacked
    assert 'class="taken changed"' in attacked
    assert "changed" not in clean
    scores = torch.tensor([1.0, 3.0])
    (experts,) = gate_rows([[record("route", torch.tensor([0.0, 1]), "one", scores, scores.flip(0))]], IMAGE)
    assert "expert 2 of 2" in experts.cells[0]
    assert "threshold" not in experts.cells[0]


def test_experts_of_tokens_are_counted() -> None:
    experts = torch.eye(4)[torch.tensor([0, 0, 1, 2])]
    other = torch.eye(4)[torch.tensor([0, 3, 1, 1])]
    (row,) = gate_rows([[record("route", experts, "one")], [record("route", other, "one")]], IMAGE)
    assert [int(share) for share in re.findall(r"(\d+)&nbsp;%", row.cells[0])] == [50, 25, 25]
    assert "2 of 4 changed" in row.cells[1]


def test_units_that_decide_for_other_places_after_the_attack_are_left_out() -> None:
    before, after = record("a", torch.ones(1, 4, 4)), record("a", torch.ones(1, 2, 2))
    assert gate_rows([[before], [after]], IMAGE) == []


class Gated(nn.Module):
    """One gate of each kind, on the means of an image's quarters."""

    def __init__(self) -> None:
        super().__init__()
        self.each, self.hidden, self.some = Occupancy(), Occupancy(used=False), TopK(2)
        self.expert, self.exit = Choice(), Exit([0.4, 0.6])

    def forward(self, x: Tensor) -> Tensor:
        quarters = nn.functional.adaptive_avg_pool2d(x.mean(1, keepdim=True), 2)
        scores = quarters.flatten(1)
        self.hidden(scores)
        self.each(quarters - 0.5)
        kept = self.some(scores) * self.expert(scores)
        return self.exit(scores[:, :2]).sum(1, keepdim=True) + kept


def test_what_is_kept_of_gates_is_what_they_returned() -> None:
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    network, adapter = Gated().eval(), Images()
    calls = [adapter.calls(network, images), adapter.calls(network, 1 - images)]
    blank = SavedImage("x", *(torch.tensor(0),) * 6)
    gates = adapter.with_gates(blank, calls, 2).gates
    assert [gate.name for gate in gates] == ["each", "some", "expert", "exit"] * 2, "not the one that is not used"
    assert [int(gate.attempt) for gate in gates] == [0] * 4 + [1] * 4
    assert [gate.chooses for gate in gates[:4]] == ["", "some", "one", "one"]
    scores = nn.functional.adaptive_avg_pool2d(images[2].mean(0, keepdim=True), 2).flatten()
    each, some, expert, leaving = gates[:4]
    assert torch.equal(each.occupancy, (scores > 0.5).view(1, 2, 2))
    assert torch.equal(some.occupancy.nonzero()[:, 0], scores.topk(2).indices.sort().values)
    assert int(expert.occupancy.int().argmax()) == int(scores.argmax())
    torch.testing.assert_close(leaving.score, scores[:2])
    torch.testing.assert_close(leaving.threshold, torch.tensor([0.4, 0.6]))
    confident = [*(scores[:2] > leaving.threshold).tolist(), True]
    assert int(leaving.occupancy.int().argmax()) == confident.index(True)
    assert each.score.numel() == some.score.numel() == 0
    assert len(hard_calls(network, images)[1]) == 5
