"""A PyTorch model as a function of its parameters: loading it, its checkpoint, what it costs.

PyTorch is optional (the extra ``torch``) and imported when a model is first asked for.  A model is named
``module:factory``; the factory is called without arguments under a seed and returns an ``nn.Module`` that maps a batch
to (n, k).  A checkpoint is read with ``weights_only=True``, so it runs no code.
"""

from __future__ import annotations

import copy
import hashlib
import importlib
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ntkdist.errors import InputError


@dataclass(frozen=True)
class TorchModel:
    """``call(parameters, x)`` → (k,) for one row; ``parameters`` by name; ``digest`` of everything it computes with."""

    call: Callable[[dict[str, Any], Any], Any]
    parameters: dict[str, Any]
    digest: str

    @property
    def count(self) -> int:
        """The number P of trained parameters."""
        return sum(int(p.numel()) for p in self.parameters.values())


def import_torch() -> Any:
    """PyTorch, or a sentence that says how to install it."""
    try:
        return importlib.import_module("torch")
    except ImportError:
        raise InputError('this kernel needs PyTorch, which is not installed: pip install "ntkdist[torch]"') from None


def load_model(
    name: str, seed: int, checkpoint: str | None, input_shape: tuple[int, ...] | None, dtype: str, device: str
) -> TorchModel:
    """Build the model ``module:factory`` under ``seed``, read its checkpoint, and put it in evaluation mode.

    Parameters that do not require gradients are constants, as buffers are.  Raises ``InputError`` for what cannot be
    imported, is no model, or does not fit the checkpoint.
    """
    torch = import_torch()
    factory = _factory(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = factory()
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"model {name!r} returned {type(module).__name__}, not a torch.nn.Module")
    if checkpoint is not None:
        _restore(torch, module, checkpoint)
    module = module.to(device=device, dtype=getattr(torch, dtype)).eval()
    trained = {key: p.detach() for key, p in module.named_parameters() if p.requires_grad}
    if not trained:
        raise InputError(f"model {name!r} has no trainable parameters")
    fixed = {key: p.detach() for key, p in module.named_parameters() if not p.requires_grad}
    fixed |= dict(module.named_buffers())

    # functional_call puts the parameters into the module while it runs, so tiles of several threads need one each.
    own = threading.local()

    def call(parameters: dict[str, Any], x: Any) -> Any:
        if not hasattr(own, "module"):
            own.module = copy.deepcopy(module)
        batch = x[None] if input_shape is None else x.reshape(1, *input_shape)
        out = torch.func.functional_call(own.module, {**fixed, **parameters}, (batch,))
        return out.reshape(-1)

    digest = hashlib.sha256(f"{name} {input_shape}".encode())
    for key, value in sorted((trained | fixed).items()):
        digest.update(f"{key} {tuple(value.shape)} {key in trained}".encode())
        digest.update(np.ascontiguousarray(value.cpu().numpy()).tobytes())
    return TorchModel(call, trained, digest.hexdigest())


def _factory(name: str) -> Callable[[], Any]:
    module, colon, attribute = name.partition(":")
    if not colon:
        raise InputError(f"model {name!r} is not of the form module:factory")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # a model beside the configuration, as python -m would find it
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"model {name!r} cannot be imported: {error}") from error
    if not callable(factory):
        raise InputError(f"model {name!r} is not a function that makes a model")
    found: Callable[[], Any] = factory
    return found


def _restore(torch: Any, module: Any, checkpoint: str) -> None:
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"checkpoint {checkpoint} cannot be read as weights only: {first}") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    try:
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError(f"checkpoint {checkpoint} does not fit the model: {' '.join(str(error).split())}") from error
