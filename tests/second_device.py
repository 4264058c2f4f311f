"""A second device without hardware: its tensors say that they are on `meta`, and hold their values in CPU tensors.

Inside `second_device()`, `.to("meta")` and `device="meta"` make such tensors. As on a GPU, an operation that mixes them
with CPU tensors fails, and whatever needs a value or a copy on the other side waits. The waits are counted by
operation.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

NAME = "meta"
_aten = torch.ops.aten
_READ_VALUES = {
    _aten._local_scalar_dense,
    _aten._unique2,
    _aten.bincount,
    _aten.equal,
    _aten.masked_select,
    _aten.nonzero,
    _aten.unique_consecutive,
    _aten.unique_dim,
}
_INDEXING = {_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_}
_COPIES = {_aten.copy_, _aten._to_copy}


class Remote(Tensor):
    """A tensor of the second device."""

    @staticmethod
    def __new__(cls, held):
        size, stride, offset = held.size(), held.stride(), held.storage_offset()
        options = {"strides": stride, "storage_offset": offset, "dtype": held.dtype, "device": NAME}
        return Tensor._make_wrapper_subclass(cls, size, **options)

    def __init__(self, held):
        self.held = held

    def __repr__(self):
        return f"Remote({self.held!r})"

    def tolist(self):
        return self.cpu().tolist()

    def new_tensor(self, values, dtype=None):
        return torch.tensor(values, dtype=dtype or self.dtype).to(NAME)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {}, Counter())


class _SecondDevice(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.waits = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {}, self.waits)


class _Constants(TorchFunctionMode):
    """Makes tensors of numbers on the CPU and copies them, since PyTorch drops the values of those made on `meta`."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and torch.device(kwargs.get("device") or "cpu").type == NAME:
            return func(*args, **kwargs | {"device": "cpu"}).to(NAME)
        return func(*args, **kwargs)


@contextmanager
def second_device() -> Iterator[Counter]:
    """Make the second device usable in this block; yield how often each operation has made it wait so far."""
    with _SecondDevice() as mode, _Constants():
        yield mode.waits


def fetched(tensor: Tensor) -> Tensor:
    """Return the values of a tensor of either device, on the CPU."""
    return tensor.detach().held if isinstance(tensor, Remote) else tensor.detach()


def _run(func, args, kwargs, waits):
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    remote = [isinstance(tensor, Remote) for tensor in tensors]
    asked = kwargs.get("device")
    there = any(remote) if asked is None else torch.device(asked).type == NAME
    kind = func.overloadpacket
    if kind in _COPIES:
        if len({*remote, there}) > 1:
            waits[str(func)] += 1
        there = remote[0] if kind is _aten.copy_ else there
    elif any(remote):
        _check_same_device(func, kind, tensors, remote, waits)
    held = [tree_map(lambda value: value.held if isinstance(value, Remote) else value, part) for part in (args, kwargs)]
    if asked is not None:
        held[1]["device"] = "cpu"
    out = func(*held[0], **held[1])
    if not there:
        return out
    out = tree_map(lambda value: Remote(value) if isinstance(value, Tensor) else value, out)
    return return_and_correct_aliasing(func, args, kwargs, out)


def _check_same_device(func, kind, tensors, remote, waits):
    here = [tensor for tensor, there in zip(tensors, remote, strict=True) if not there and tensor.ndim > 0]
    if kind in _INDEXING:
        masks = [tensor for tensor in tensors[1:] if tensor.dtype in (torch.bool, torch.uint8)]
        if remote[0] and (here or masks):
            waits[str(func)] += 1
            return
    if here:
        raise RuntimeError(f"{func} got tensors of two devices: {[tuple(tensor.shape) for tensor in here]} on the CPU")
    if kind in _READ_VALUES or (kind is _aten.repeat_interleave and "output_size" not in str(func)):
        waits[str(func)] += 1
