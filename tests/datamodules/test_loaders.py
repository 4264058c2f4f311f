import pytest
import torch

from datamodules.batch import ImageBatch
from datamodules.loaders import ShuffledLoader, flip_and_crop, image_loader, training_loader
from datamodules.sampler import RankStridedSampler, ShuffledSampler
from lgm_bench.errors import ConfigError


def shuffled(n: int = 20, batch_size: int = 6, seed: int = 0) -> ShuffledLoader[ImageBatch]:
    pixels = torch.randint(0, 256, (n, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return training_loader(pixels, torch.arange(n), [str(i) for i in range(n)], ShuffledSampler(n, seed), batch_size)


def test_evaluation_batches_are_the_pixels_as_they_are() -> None:
    pixels = torch.randint(0, 256, (7, 4, 5, 3), dtype=torch.uint8)
    loader = image_loader(pixels, torch.arange(7), list("abcdefg"), RankStridedSampler(7, 1, 2), batch_size=2)
    batches = list(loader)
    assert [batch.ids for batch in batches] == [["b", "d"], ["f"]]
    assert len(loader) == 2
    first = batches[0]
    torch.testing.assert_close(first.images, pixels[[1, 3]].permute(0, 3, 1, 2) / 255, rtol=0, atol=0)
    assert first.images.dtype == torch.float32
    assert first.images.is_contiguous()
    assert first.labels.tolist() == [1, 3]
    assert first.labels.dtype == torch.int64


def test_every_augmented_image_is_one_of_the_162_flips_and_shifts_and_all_occur() -> None:
    height, width = 6, 5
    # No two windows of it look alike: every pixel differs, and none is 0, the colour of the padding.
    image = torch.arange(1, height * width * 3 + 1, dtype=torch.uint8).view(height, width, 3)
    expected = {}
    for flipped in (False, True):
        padded = torch.zeros(height + 8, width + 8, 3, dtype=torch.uint8)
        padded[4:-4, 4:-4] = image.flip(1) if flipped else image
        for top in range(9):
            for left in range(9):
                # A crop of the flipped, padded image equals the mirrored crop of the unflipped one.
                expected[padded[top : top + height, left : left + width].numpy().tobytes()] = (flipped, top, left)
    augmented = flip_and_crop(image.expand(4000, -1, -1, -1), torch.Generator().manual_seed(0))
    assert augmented.is_contiguous()
    seen = [expected[one.numpy().tobytes()] for one in augmented]
    assert set(seen) == set(expected.values())
    assert 0.45 < sum(flipped for flipped, _, _ in seen) / len(seen) < 0.55


def test_training_drops_the_last_batch_and_repeats_itself_for_one_seed_and_epoch() -> None:
    loader, again, other = shuffled(), shuffled(), shuffled(seed=1)
    first = list(loader)
    assert len(first) == len(loader) == 3
    assert len({sample_id for batch in first for sample_id in batch.ids}) == 18
    assert all(torch.equal(a.images, b.images) for a, b in zip(first, again, strict=True))
    assert [batch.ids for batch in other] != [batch.ids for batch in first]
    loader.sampler.set_epoch(1)
    second = list(loader)
    assert [batch.ids for batch in second] != [batch.ids for batch in first]
    assert all(batch.images.is_contiguous() for batch in second)


def test_one_image_is_augmented_differently_in_every_epoch() -> None:
    loader = shuffled()
    versions = []
    for epoch in range(4):
        loader.sampler.set_epoch(epoch)
        versions += [batch.images[batch.ids.index("5")] for batch in loader if "5" in batch.ids]
    assert len(versions) > 1
    assert not any(torch.equal(a, b) for i, a in enumerate(versions) for b in versions[:i])


def test_state_resumes_in_the_middle_of_an_epoch_but_not_into_another() -> None:
    loader = shuffled()
    loader.sampler.set_epoch(2)
    iterator = iter(loader)
    next(iterator)
    state = loader.state_dict()
    rest = list(iterator)

    resumed = shuffled()
    resumed.load_state_dict(state)
    resumed.sampler.set_epoch(2)
    batches = list(resumed)
    assert [batch.ids for batch in batches] == [batch.ids for batch in rest]
    assert all(torch.equal(a.images, b.images) for a, b in zip(batches, rest, strict=True))
    assert len(list(resumed)) == 3

    elsewhere = shuffled()
    elsewhere.load_state_dict(state)
    elsewhere.sampler.set_epoch(3)
    assert len(list(elsewhere)) == 3


def test_a_batch_larger_than_the_training_set_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size 21 is more than the 20 training images"):
        shuffled(batch_size=21)
