"""The record of a finished cell: every number with what it was measured on, as typed JSON."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from lgm_bench.evaluation.cells.cell import Cell


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChangeSummary(_Record):
    """How the architecture changed, as shares in [0, 1].

    Attributes:
        n_samples: Attacks (images, or images x targets) that were averaged over.
        ratio: Changed decisions over all decisions of all units.
        on_to_off: Share of decisions that were on and went off.
        off_to_on: Share of decisions that were off and went on.
        per_unit: `ratio` of each adaptive unit, in the order of the forward pass.
    """

    n_samples: int
    ratio: float
    on_to_off: float
    off_to_on: float
    per_unit: tuple[float, ...]


class ArchitectureRecord(_Record):
    """Architecture change over the images that the victim's family defines it over, and over the others too.

    Attributes:
        defined_over: "attacked": images that count as attacked (SkipNet); "all": every image, also those that the
            clean network gets wrong, which are perturbed for this number only (DynConv).
        attacked: Over the attacked images; None if there were none.
        all_images: Over every image; None where only the attacked ones were perturbed.
        executed_clean: Share of the units' decisions that are on, on the clean images.
        executed_adversarial: The same after the attack, over the images that were perturbed.
    """

    defined_over: Literal["all", "attacked"]
    attacked: ChangeSummary | None
    all_images: ChangeSummary | None
    executed_clean: float
    executed_adversarial: float | None

    @property
    def change(self) -> ChangeSummary | None:
        """The summary that the paper's tables print for this family."""
        return self.all_images if self.defined_over == "all" else self.attacked


class SegmentationRecord(_Record):
    """IoUs over the confusion matrix summed over all scenes, as fractions in [0, 1].

    Attributes:
        clean_miou: Mean over the classes that occur, before the attack.
        miou: After it.
        classes: Names, in the order of the IoUs.
        clean_iou: Of each class before the attack; None for one that neither occurs nor is predicted, and for those
            that are left out of the mean by definition.
        iou: After it.
        clean_confusion: (C, C) points before the attack; rows are labels, columns predictions.
        confusion: After it.
    """

    clean_miou: float
    miou: float
    classes: tuple[str, ...]
    clean_iou: tuple[float | None, ...]
    iou: tuple[float | None, ...]
    clean_confusion: tuple[tuple[int, ...], ...]
    confusion: tuple[tuple[int, ...], ...]


class CostRecord(_Record):
    """What an attack on point clouds computes, mean over scenes and iterations.

    Attributes:
        kvoxels: Voxels of the finest level, in thousands.
        gflops: Of a forward pass, counted as the paper's Table VI counts them.
    """

    kvoxels: float
    gflops: float


class Preflight(_Record):
    """The checks that are made before a cell is computed, on its first images.

    Attributes:
        n_samples: Images that the checks looked at.
        zero_gradient_share: Share of the components of the input gradient that are exactly 0.
        deterministic: Whether logits and gradient came out the same, bit for bit, a second time.
        batch_invariance: Largest difference of a logit between an image in a batch and the same image alone,
            relative to the largest logit.
        saturated_occupancies: Share of the occupancies whose derivative is as good as 0 at LGM's slope; None for FGM,
            and for victims that decide nothing but which voxels there are.
        units: Adaptive units.
        constant_units: Those of them that decide the same everywhere in all of these images.
        masking_samples: Images that signs of gradient masking were looked for on; 0: it was not done, since the attack
            has one step or no gradient, samples are few or scenes, or images are left alone once they have fallen.
        loss_of_twice_the_steps: Mean cross-entropy of the hard network, over those of them that it gets right, after an
            attack of twice as many steps.
        large_eps: An eps with which nothing should be left, in the unit of the cell's.
        accuracy_at_large_eps: Share of those images that is right after an attack with it.
    """

    n_samples: int
    zero_gradient_share: float
    deterministic: bool
    batch_invariance: float
    saturated_occupancies: float | None = None
    units: int = 0
    constant_units: int = 0
    masking_samples: int = 0
    loss_of_twice_the_steps: float | None = None
    large_eps: float | None = None
    accuracy_at_large_eps: float | None = None


class Checks(Preflight):
    """Those checks, and what only the rows can tell.

    Attributes:
        loss_of_the_steps: As `loss_of_twice_the_steps`, but after the attack itself.
        within_bounds: Whether every adversarial image lies in its ball and in the protocol's intensity range.
    """

    loss_of_the_steps: float | None = None
    within_bounds: bool


class RunRecord(_Record):
    """How the run that finished a cell was set up; none of it changes a number.

    Attributes:
        batch_size: Samples per batch and process.
        processes: That shared the samples.
        accelerator: Lightning's name of it.
    """

    batch_size: int
    processes: int
    accelerator: str


class CellResult(_Record):
    """One cell's numbers. Shares, accuracies and IoUs are fractions in [0, 1].

    Attributes:
        cell: What was run, with every default filled in.
        fingerprint: Name of the cell's folder, see `Cell.fingerprint`.
        n_samples: Images, shapes or scenes; `cell.data.limit` says whether they are only the first ones.
        n_attempts: Images x targets (untargeted: `n_samples`).
        n_attacked: Attempts that count: untargeted the clean-correct images; targeted those neither labelled nor
            predicted as the target.
        clean_accuracy: Of the hard network, over all images; of scenes, over all labelled points.
        accuracy: After the attack, over all attempts; an attempt that does not count keeps its clean prediction.
        success_rate: Share of the attacked that fell; None if none was attacked.
        architecture: None for a victim without adaptive units.
        segmentation: IoUs, of scenes.
        cost: Of point clouds.
        checks: Pre-flight checks.
        folded: Whether batch norm was folded into the convolutions of the network that was attacked and judged.
        backend: What computed the sparse convolutions, of point clouds.
        checkpoint_sha256: Of the victim's weights as loaded, whatever file format they came in.
        data_sha256: Of the sample ids, in order.
        versions: Of lgm-bench, python and the libraries that compute.
        git_commit: Of the source tree that ran, if it is one; several, with "; " between them, if it changed meanwhile.
        device: What computed.
        precision: Of what the victim computed: that of its parameters, and "-mixed" where operations had a lower one.
        run: How the run was set up that finished it; None for one that was put together without.
        wall_time_s: Time spent on the batches, over all runs that contributed, summed over processes.
        peak_memory: Bytes of memory that the largest of the processes had taken by then.
        peak_gpu_memory: Bytes of GPU memory that tensors took at most in one process; None without a GPU.
    """

    cell: Cell
    fingerprint: str
    n_samples: int
    n_attempts: int
    n_attacked: int
    clean_accuracy: float
    accuracy: float
    success_rate: float | None
    architecture: ArchitectureRecord | None
    segmentation: SegmentationRecord | None = None
    cost: CostRecord | None = None
    checks: Checks
    folded: bool
    backend: str | None = None
    checkpoint_sha256: str
    data_sha256: str
    versions: dict[str, str]
    git_commit: str | None
    device: str
    precision: str
    run: RunRecord | None = None
    wall_time_s: float
    peak_memory: int | None = None
    peak_gpu_memory: int | None = None

    @property
    def architecture_change(self) -> float | None:
        """The architecture change ratio as the paper's tables print it; None where there is none.

        An active set leaves images alone once they have fallen, so there is none with it.
        """
        if self.cell.attack.active_set:
            return None
        change = self.architecture.change if self.architecture else None
        return change.ratio if change else None
