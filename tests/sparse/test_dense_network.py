"""A whole network with occupancy, down and up again, against dense convolutions on the same grid."""

import torch
import torch.nn.functional as F
from clouds import at, cloud, dense, dense_kernel
from torch import Tensor, nn

from lgm_bench.sparse import (
    SparseBatchNorm,
    SparseConv3d,
    SparseConvTranspose3d,
    SparseTensor,
    activated,
    joined,
)

LOW, SIDE = -6, 12


class Net(nn.Module):
    """conv - BN - ReLU - down - BN - ReLU - conv - up - BN - joined with the skip - conv."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.down, self.inner = SparseConv3d(2, 3, 3), SparseConv3d(3, 4, 2, 2), SparseConv3d(4, 4, 3)
        self.up, self.last = SparseConvTranspose3d(4, 2, 2, 2), SparseConv3d(5, 2, 5)
        self.norms = nn.ModuleList([SparseBatchNorm(3), SparseBatchNorm(4), SparseBatchNorm(2)])
        for norm in self.norms:
            norm.bn.running_mean.normal_()
            norm.bn.running_var.uniform_(0.5, 2)
            nn.init.normal_(norm.bn.bias)

    def forward(self, x: SparseTensor) -> SparseTensor:
        skip = activated(self.norms[0](self.first(x)))
        x = self.inner(activated(self.norms[1](self.down(skip))))
        return self.last(joined(self.norms[2](self.up(x)), skip))

    def on_a_grid(self, x: Tensor, occupancy: Tensor) -> Tensor:
        """The same from a dense grid (1, 2, side, side, side) and occupancies (1, 1, ...), 0 where no voxel is."""
        blocks = occupancy.unfold(2, 2, 2).unfold(3, 2, 2).unfold(4, 2, 2).flatten(5)
        coarse = 1 - (1 - blocks).prod(5)

        def same(conv: SparseConv3d, value: Tensor) -> Tensor:
            return F.conv3d(value, dense_kernel(conv.weight, conv.kernel_size), padding="same")

        def norm(number: int, value: Tensor, times: Tensor) -> Tensor:
            bn = self.norms[number].bn
            return times * F.batch_norm(value, bn.running_mean, bn.running_var, bn.weight, bn.bias)

        skip = norm(0, occupancy * same(self.first, x), occupancy).relu()
        down = coarse * F.conv3d(skip, dense_kernel(self.down.weight, (2, 2, 2)), stride=2)
        inner = coarse * same(self.inner, norm(1, down, coarse).relu())
        kernel = dense_kernel(self.up.weight, (2, 2, 2)).transpose(0, 1)
        up = norm(2, occupancy * F.conv_transpose3d(inner, kernel, stride=2), occupancy)
        return occupancy * same(self.last, torch.cat([up, skip], dim=1))


def test_values_and_gradients_of_features_and_occupancy() -> None:
    torch.manual_seed(0)
    net = Net().double().eval()
    coordinates = cloud(seed=3)
    coordinates = coordinates[coordinates[:, 0] == 0]
    features = torch.randn(len(coordinates), 2, dtype=torch.float64, requires_grad=True)
    occupancy = torch.rand(len(coordinates), dtype=torch.float64)
    occupancy[:4] = torch.tensor([1.0, 1.0, 0.0, 0.0])
    occupancy.requires_grad_()
    out = net(SparseTensor(coordinates, features, occupancy)).features
    grids = (dense(coordinates, values, LOW, SIDE) for values in (features, occupancy[:, None]))
    expected = at(net.on_a_grid(*grids), coordinates, LOW)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)
    inputs = [features, occupancy, *net.parameters()]
    cotangent = torch.randn_like(out)
    for mine, other in zip(
        torch.autograd.grad((out * cotangent).sum(), inputs),
        torch.autograd.grad((expected * cotangent).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-10)
