"""The names of torch and accelerate that they do not promise are where the adapters look for them."""

import weakref
from typing import ClassVar

import pytest
import torch
from torch import nn

from reportgen.scoring.model import accelerate_private, torch_private

MOVED = "has moved: see reportgen/scoring/model/torch_private.py, and the bound on torch in pyproject.toml"


def test_dispatched_operations_are_seen_those_of_gradients_too() -> None:
    class Seen(torch_private.TorchDispatchMode):
        names: ClassVar[list[str]] = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.names.append(str(func))
            return func(*args, **(kwargs or {}))

    x = torch.ones(3, requires_grad=True)
    with Seen():
        x.exp().sum().backward()
    assert "aten.exp.default" in Seen.names, f"TorchDispatchMode {MOVED}"
    assert len(Seen.names) > 3, f"TorchDispatchMode {MOVED}"


def test_a_storage_keeps_its_identity_and_shares_it_with_none() -> None:
    one, other = torch.ones(3), torch.ones(3)
    views = [torch_private.storage_identity(x.untyped_storage()) for x in (one, one[1:], one.reshape(3, 1))]
    assert len(set(views)) == 1, f"UntypedStorage._cdata {MOVED}"
    assert torch_private.storage_identity(other.untyped_storage()) not in views, f"UntypedStorage._cdata {MOVED}"
    gone = list[int]()
    weakref.finalize(one.untyped_storage(), gone.append, 1)
    del one
    assert gone == [1], "a storage's Python object has to live as long as the storage"


def test_writing_in_place_is_counted() -> None:
    tensor = torch.zeros(3)
    counts = [torch_private.times_written(tensor)]
    for write in (lambda: tensor.add(1), lambda: tensor.add_(1), lambda: tensor[1:].copy_(torch.ones(2))):
        write()
        counts.append(torch_private.times_written(tensor))
    assert counts == [0, 0, 1, 2], f"Tensor._version {MOVED}"


def test_compilation_in_ever_other_forms_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._dynamo

    names = ("recompile_limit", "accumulated_recompile_limit", "fail_on_recompile_limit_hit")
    for name in names:
        assert hasattr(torch._dynamo.config, name), f"torch._dynamo.config.{name} {MOVED}"
        monkeypatch.setattr(torch._dynamo.config, name, getattr(torch._dynamo.config, name))
    torch_private.bound_recompilations(7)
    assert [getattr(torch._dynamo.config, name) for name in names] == [7, 7, True]


def test_the_device_of_offloaded_weights_is_known() -> None:
    hooks = pytest.importorskip("accelerate.hooks")
    module = nn.Linear(2, 2)
    assert accelerate_private.execution_device(module) is None
    hooks.add_hook_to_module(module, hooks.AlignDevicesHook(execution_device="cpu"))
    assert accelerate_private.execution_device(module) == torch.device("cpu")
