"""Two ways to the empirical NTK of any model, and the cost by which one is chosen (Novak, Sohl-Dickstein &
Schoenholz 2022, "Fast Finite Width Neural Tangent Kernel").

*Jacobian contraction*: the Jacobians of a block of rows, (b, k, P), once per block, then their products: about
3(n1 + n2)·s·F + 2·n1·n2·s·P flops, F the cost of one row's forward pass and s the outputs needed: k for their mean,
1 for one of them (and k² in the second term for all pairs).  *NTK-vector products*: for every column x′ and output,
Θ(·, x′) e is a vector-Jacobian product followed by a Jacobian-vector product at every row: about 3·n1·n2·s·F + 3·n2·s·F
flops, and memory for a few parameter vectors only.  The cheaper one whose memory fits is taken.
"""

from __future__ import annotations

import importlib
import threading
from dataclasses import dataclass
from typing import Any

from ntkdist.errors import OutOfSpace
from ntkdist.kernels.finite_width.torch_model import TorchModel, import_torch

# PyTorch counts the levels of forward-mode differentiation once for all threads of a process.
_ONE_AT_A_TIME = threading.Lock()

METHODS = ("auto", "jacobian", "products")
_BACKWARD, _FORWARD_MODE = 2.0, 3.0


@dataclass(frozen=True)
class Cost:
    """Predicted flops of both ways, bytes of one row's Jacobian, rows per block, and the choice with its reason."""

    jacobian_flops: float
    products_flops: float
    row_bytes: float
    block: int
    method: str
    reason: str


def forward_flops(model: TorchModel, row: Any) -> float:
    """Flops of the forward pass of one row, counted by PyTorch (at least two per parameter)."""
    torch = import_torch()
    counter = importlib.import_module("torch.utils.flop_counter").FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model.call(model.parameters, row)
    return max(float(counter.get_total_flops()), 2.0 * model.count)


def predict_cost(
    model: TorchModel, forward: float, n1: int, n2: int, outputs: int, output: str | int, memory: float, method: str
) -> Cost:
    """Choose a method for an (n1, n2) tile within ``memory`` bytes.

    Raises ``OutOfSpace`` where the Jacobian is asked for and not even two rows of it fit.
    """
    item = next(iter(model.parameters.values())).element_size()
    needed = 1 if isinstance(output, int) else outputs
    pairs = needed * needed if output == "full" else needed
    contraction = (n1 + n2) * needed * (1 + _BACKWARD) * forward + 2.0 * n1 * n2 * pairs * model.count
    products = n1 * n2 * needed * _FORWARD_MODE * forward + n2 * needed * (1 + _BACKWARD) * forward
    row_bytes = float(needed * model.count * item)
    # Blocks of rows and of columns, and what the passes themselves hold.
    block = int(memory / (3 * row_bytes))
    if method == "jacobian" and block < 1:
        raise OutOfSpace(
            f"the Jacobian of one row takes {row_bytes / 2**30:.3g} GiB and kernel.memory allows"
            f" {memory / 2**30:.3g}; choose method: products or allow more"
        )
    chosen, reason = method, "asked for"
    if method == "auto":
        if block < 1:
            chosen, reason = "products", "the Jacobian of one row does not fit kernel.memory"
        else:
            chosen = "jacobian" if contraction <= products else "products"
            reason = f"predicted {contraction:.2g} flop for the Jacobian, {products:.2g} for products"
    return Cost(contraction, products, row_bytes, max(1, min(block, max(n1, n2))), chosen, reason)


def jacobian_ntk(model: TorchModel, x: Any, z: Any, output: str | int, block: int) -> Any:
    """Θ (n1, n2), or (n1, n2, k, k) for ``full``, by blocks of Jacobians; z is x (the same object) halves the work."""
    torch = import_torch()
    rows = []
    for start in range(0, len(x), block):
        left = _jacobian(model, x[start : start + block], output)
        columns = []
        for other in range(0, len(z), block):
            if z is x and other > start:
                shape = (len(left), len(z[other : other + block]), *(left.shape[1:2] * 2 if output == "full" else ()))
                columns.append(torch.zeros(shape, dtype=left.dtype, device=left.device))
                continue
            same = z is x and other == start
            right = left if same else _jacobian(model, z[other : other + block], output)
            columns.append(_contract(left, right, output))
        rows.append(torch.cat(columns, 1))
    found = torch.cat(rows, 0)
    if z is x:
        n = len(x)
        below = torch.tril(torch.ones(n, n, dtype=torch.bool, device=found.device), -1)
        if output == "full":
            turned = found.permute(1, 0, 3, 2)
            above = below.T[:, :, None, None]
        else:
            turned, above = found.T, below.T
        found = torch.where(above, turned, found)
    return found


def product_ntk(model: TorchModel, x: Any, z: Any, output: str | int, block: int) -> Any:
    """Θ (n1, n2), or (n1, n2, k, k) for ``full``, by a vector-Jacobian and Jacobian-vector products per column."""
    torch = import_torch()
    outputs = len(model.call(model.parameters, x[0]))
    needed = [int(output)] if isinstance(output, int) else list(range(outputs))
    eye = torch.eye(outputs, dtype=x.dtype, device=x.device)
    columns = []
    for row in z:
        _, pull = torch.func.vjp(lambda p, row=row: model.call(p, row), model.parameters)
        per_output = []
        for k in needed:
            (tangent,) = pull(eye[k])

            def push(v: Any, tangent: Any = tangent) -> Any:
                return torch.func.jvp(lambda p: model.call(p, v), (model.parameters,), (tangent,))[1]

            with _ONE_AT_A_TIME:
                pushed = torch.vmap(push, chunk_size=block)(x)
            per_output.append(pushed if output == "full" else pushed[:, k])
        stacked = torch.stack(per_output, -1)
        columns.append(stacked if output == "full" else stacked.mean(-1))
    return torch.stack(columns, 1)


def _jacobian(model: TorchModel, x: Any, output: str | int) -> Any:
    """(b, k, P), or (b, 1, P) for one output."""
    torch = import_torch()

    def f(parameters: dict[str, Any], row: Any) -> Any:
        out = model.call(parameters, row)
        return out[int(output)][None] if isinstance(output, int) else out

    parts = torch.func.vmap(torch.func.jacrev(f), (None, 0))(model.parameters, x)
    return torch.cat([part.flatten(2) for part in parts.values()], 2)


def _contract(left: Any, right: Any, output: str | int) -> Any:
    torch = import_torch()
    if output == "full":
        (b, k, p), c = left.shape, len(right)
        product = left.reshape(b * k, p) @ right.reshape(c * k, p).T
        return product.reshape(b, k, c, k).permute(0, 2, 1, 3)
    outputs = left.shape[1]
    product = left.reshape(len(left), -1) @ right.reshape(len(right), -1).T
    return product / outputs if outputs > 1 else torch.as_tensor(product)
