"""The torch path on another device: nothing may mix with the CPU.

A GPU cannot be asked for here, so one is pretended: tensors say that they live on it while their numbers are kept on
the CPU, and an operation that mixes them with CPU tensors fails as on a real one.
"""

from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from pair_drive_core.datasets.vectors import read_vector_file
from pair_drive_core.scoring import Metric, explain, extended_comfort, prepare_scenes, score

GOLDEN = Path(__file__).parents[1] / "golden" / "vectors"
PRETENDED = torch.device("meta")


class PretendedTensor(torch.Tensor):
    """A tensor of the pretended device."""

    @staticmethod
    def __new__(cls, inside):
        return torch.Tensor._make_wrapper_subclass(cls, inside.shape, dtype=inside.dtype, device=PRETENDED)

    def __init__(self, inside):
        self.inside = inside

    def new_tensor(self, data):
        return torch.tensor(data, dtype=self.dtype, device=self.device)

    def tolist(self):
        return self.inside.tolist()

    def __repr__(self):
        return f"pretended {self.inside!r}"

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), options=None):
        return dispatch(function, arguments, options or {})


class PretendedDevice(TorchDispatchMode):
    """Catches the making of tensors on the pretended device, too."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        return dispatch(function, arguments, options or {})


def dispatch(function, arguments, options):
    tensors = []
    tree_map(lambda x: tensors.append(x) if isinstance(x, torch.Tensor) else None, (arguments, options))
    pretended = [x for x in tensors if isinstance(x, PretendedTensor)]
    wanted = options.get("device")
    moves = function in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
    if pretended and not moves:
        strangers = [x for x in tensors if not isinstance(x, PretendedTensor) and x.dim() > 0]
        assert not strangers, (
            f"{function} mixes the pretended device with {[tuple(x.shape) for x in strangers]} on the CPU"
        )
    if isinstance(wanted, torch.device) and wanted == PRETENDED:
        options = {**options, "device": torch.device("cpu")}
    strip = lambda x: x.inside if isinstance(x, PretendedTensor) else x  # noqa: E731
    out = function(*tree_map(strip, arguments), **tree_map(strip, options))
    there = wanted == PRETENDED if wanted is not None else bool(pretended)
    in_place = function is torch.ops.aten.copy_.default
    if in_place:
        return arguments[0]
    return tree_map(lambda x: PretendedTensor(x) if isinstance(x, torch.Tensor) else x, out) if there else out


@pytest.fixture(autouse=True)
def tensors_are_made_on_the_cpu_and_moved(monkeypatch):
    """`torch.tensor` makes its result out of anyone's sight."""
    make = torch.tensor
    monkeypatch.setattr(torch, "tensor", lambda data, dtype=None, device=None: make(data, dtype=dtype).to(device))


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("chunk", [None, 3])
def test_the_torch_path_stays_on_its_device(metric, chunk):
    files = [read_vector_file(GOLDEN / f"{name}.npz") for name in ("scene_0015", "scene_0199")]
    count = 5
    plans = torch.stack([file.candidates[:count] for file in files]).float()
    here = score([file.scene(metric) for file in files], plans, metric, backend="torch", chunk=chunk)
    prepared = prepare_scenes([file.scene(metric) for file in files], metric, torch.float32)
    with PretendedDevice():
        moved = prepared.to(PRETENDED)
        there = score(moved, plans.to(PRETENDED), metric, chunk=chunk)
        assert there.total.device == PRETENDED and there.backend == "torch"
        reasons = [str(reason) for reason in explain(there, moved, 1, 0)]
        ec = extended_comfort(there.states[0], there.states[1], 0.5)[0] if metric is Metric.V2 else None
        assert ec is None or ec.device == PRETENDED
        for name in ("sub", "total", "step", "cause", "states", "valid"):
            torch.testing.assert_close(getattr(there, name).cpu(), getattr(here, name))
    assert reasons == [str(reason) for reason in explain(here, prepared, 1, 0)]


def test_mixing_is_noticed():
    with PretendedDevice():
        far = torch.ones(3, device=PRETENDED)
        with pytest.raises(AssertionError, match="mixes"):
            far + torch.ones(3)
        assert float(far.sum()) == 3.0
