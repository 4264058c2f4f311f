"""Which pixels an attack may change."""

import torch
from torch import Tensor

from lgm_bench.errors import ConfigError

PIXEL_SEED = 1


def check_share(share: float) -> None:
    """Check a share of pixels.

    Raises:
        ConfigError: It does not lie in (0, 1].
    """
    if not 0 < share <= 1:
        raise ConfigError(f"valid_pixels must lie in (0, 1], got {share}; 0.05 stands for 5 % of the pixels")


def valid_pixel_mask(height: int, width: int, share: float) -> Tensor:
    """Return the pixel positions that may change, (height, width) bool, on the CPU.

    One random set, the same for all images, channels and runs: it is a part of the task and not of an attack, so it
    has a fixed seed of its own. At least the whole pixels in `share` are taken: 5 % of 32 x 32 are 51.

    Args:
        height: Rows of the image.
        width: Columns of the image.
        share: Share of the pixels, in (0, 1].

    Raises:
        ConfigError: `share` is out of range or leaves no pixel.

    >>> int(valid_pixel_mask(32, 32, 0.05).sum())
    51
    """
    check_share(share)
    pixels = height * width
    count = int(pixels * share + 1e-9)  # 0.29 * 100 is 28.999999999999996
    if count == 0:
        raise ConfigError(f"valid_pixels={share} leaves no pixel of a {height} x {width} image; give a larger share")
    mask = torch.zeros(pixels, dtype=torch.bool)
    mask[torch.randperm(pixels, generator=torch.Generator().manual_seed(PIXEL_SEED))[:count]] = True
    return mask.view(height, width)
