"""What accelerate does not promise and scoring needs; tried with accelerate 1.15."""

import torch
from torch import nn


def execution_device(module: nn.Module) -> torch.device | None:
    """Return the device on which accelerate runs a module whose weights lie elsewhere until then (None: it does not).

    There is no public way from a module to where its inputs have to go.
    """
    device: torch.device | str | int | None = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
    return None if device is None else torch.device(device)
