"""Names that torch does not promise and that scoring needs; tried with torch 2.13, the only version allowed above 2.12.

Nothing else in reportgen uses a private name of torch. Each of these has no public counterpart there:
- ``TorchDispatchMode`` counts tensors as they are made, gradients' too, on any device (memory statistics exist for
  accelerators alone);
- ``_cdata`` is what a storage is known by however many Python objects stand for it;
- ``_version`` counts how often a tensor was written in place;
- ``torch._dynamo.config`` is where compilation in another form than the last is bounded.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["TorchDispatchMode", "bound_recompilations", "storage_identity", "times_written"]


def storage_identity(storage: torch.UntypedStorage) -> int:
    """Return a number that no other storage has as long as this one lives."""
    return int(storage._cdata)


def times_written(tensor: torch.Tensor) -> int:
    """Count how often a tensor, or a view of it, was written in place."""
    return int(tensor._version)


def bound_recompilations(forms: int) -> None:
    """Let each compiled module have so many forms, and raise where it would take more."""
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = forms
    torch._dynamo.config.fail_on_recompile_limit_hit = True
