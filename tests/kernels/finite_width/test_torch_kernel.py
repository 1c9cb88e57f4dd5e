"""The kernel of any PyTorch model: against its own autograd, by both methods, with checkpoints and ensembles."""

from __future__ import annotations

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ntkdist.errors import InputError, OutOfSpace
from ntkdist.kernels import TileKernel, kernel_from_spec
from ntkdist.kernels.finite_width import Architecture, EmpiricalKernel, TorchKernel
from ntkdist.kernels.finite_width.torch_model import load_model
from ntkdist.kernels.finite_width.torch_ntk import jacobian_ntk, predict_cost, product_ntk

torch = pytest.importorskip("torch")
X = np.random.default_rng(0).standard_normal((7, 4))
IMAGES = np.random.default_rng(1).standard_normal((6, 36))


@pytest.fixture(autouse=True)
def _models_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    sys.modules.pop("torch_models", None)


def by_autograd(name: str, x: np.ndarray, seed: int = 0, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Θ (n, n, k, k) from torch.autograd, one row and output at a time."""
    import torch_models

    torch.manual_seed(seed)
    model = getattr(torch_models, name)().double().eval()
    rows = []
    for row in torch.tensor(x):
        out = model(row.reshape(1, *(shape or (-1,))))[0]
        trained = [p for p in model.parameters() if p.requires_grad]
        grads = [torch.autograd.grad(o, trained, retain_graph=True) for o in out]
        rows.append(torch.stack([torch.cat([g.reshape(-1) for g in grad]) for grad in grads]))
    jacobian = torch.stack(rows)
    return torch.einsum("ikp,jlp->ijkl", jacobian, jacobian).numpy()


@pytest.mark.parametrize("method", ["jacobian", "products"])
@pytest.mark.parametrize(
    ("name", "x", "shape"),
    [("dense", X, None), ("convolutional", IMAGES, (1, 6, 6)), ("partly_frozen", X, None)],
)
def test_both_methods_are_the_product_of_gradients(
    name: str, x: np.ndarray, shape: tuple[int, ...] | None, method: str
) -> None:
    full = by_autograd(name, x, shape=shape)
    kernel = TorchKernel(f"torch_models:{name}", input_shape=shape, method=method, device="cpu")
    mean = np.einsum("ijkk->ij", full) / full.shape[2]
    np.testing.assert_allclose(kernel.tile(x), mean, rtol=1e-10)
    np.testing.assert_allclose(kernel.cross(x[:2], x[1:]), mean[:2, 1:], rtol=1e-10)
    np.testing.assert_allclose(kernel.diagonal(x), np.diag(mean), rtol=1e-10)
    one = TorchKernel(f"torch_models:{name}", input_shape=shape, method=method, output=1)
    np.testing.assert_allclose(one.tile(x), full[:, :, 1, 1], rtol=1e-10)
    model = load_model(f"torch_models:{name}", 0, None, shape, "float64", "cpu")
    compute = jacobian_ntk if method == "jacobian" else product_ntk
    rows = torch.tensor(x)
    for block in (2, 100):
        np.testing.assert_allclose(compute(model, rows, rows, "full", block).numpy(), full, rtol=1e-10, atol=1e-13)


def test_it_is_the_structured_kernel_of_the_same_weights(tmp_path: Path) -> None:
    of = Architecture(1, 9, 3, "gelu", 1.0, 1.0, first_bias=1.0)
    network = of.draw(4, 5)
    state = {
        "0.weight": torch.tensor(of.factor(1, 4) * network.weights[0]),
        "0.bias": torch.tensor(network.biases[0]),
        "2.weight": torch.tensor(of.factor(2, 4) * network.weights[1]),
        "2.bias": torch.tensor(network.biases[1]),
    }
    torch.save({"state_dict": state}, tmp_path / "net.pt")
    kernel = TorchKernel("torch_models:dense", checkpoint=str(tmp_path / "net.pt"), output=2)
    # The same function in other coordinates: the output weights are w/√m there, so their part is m times larger.
    a = np.asarray(network.forward(X).activations[1])
    structured = EmpiricalKernel(network=network, output=2).tile(X) + (1 - of.factor(2, 4) ** 2) * (a @ a.T)
    np.testing.assert_allclose(kernel.tile(X), structured, rtol=1e-6)  # float32 weights in the state_dict's model


def test_tiles_keep_the_protocol() -> None:
    kernel = TorchKernel("torch_models:dense", seeds=[0, 1])
    assert isinstance(kernel, TileKernel)
    x = np.concatenate([X, X[2:3]])
    whole = kernel.tile(x)
    np.testing.assert_array_equal(whole, whole.T)
    assert kernel.tile(x[2:3], x[5:])[0, -1] == kernel.diagonal(x[2:3])[0]
    members = [np.einsum("ijkk->ij", by_autograd("dense", x, seed)) / 3 for seed in (0, 1)]
    np.testing.assert_allclose(whole, sum(members) / 2, rtol=1e-10)
    again = pickle.loads(pickle.dumps(kernel))
    np.testing.assert_array_equal(again.tile(x), whole)
    assert again == kernel
    assert kernel_from_spec(kernel.spec()).fingerprint == kernel.fingerprint
    assert kernel.tile(x.astype(np.float32)).dtype == np.float32
    single = np.abs(kernel.tile(x.astype(np.float32)) - whole)
    bound = kernel.entry_error(np.float32).relative * np.sqrt(np.outer(np.diag(whole), np.diag(whole)))
    assert np.all(single <= bound)
    assert kernel.work(10, 10, 4) > 0
    assert kernel.for_inputs((4,)) is kernel
    assert "75 parameters" in str(kernel)
    with pytest.raises(InputError, match="not imported from a store"):
        kernel_from_spec(kernel.spec(), allow_import=False)
    with pytest.raises(InputError, match="other weights"):
        TorchKernel.from_spec({**kernel.spec(), "weights": ["x", "y"]})
    with pytest.raises(InputError, match="not a kernel specification"):
        TorchKernel.from_spec({"version": 1})
    with pytest.raises(InputError, match="another version"):
        TorchKernel.from_spec({"version": 7})


def test_the_method_is_the_cheaper_one_whose_memory_fits() -> None:
    conv = load_model("torch_models:convolutional", 0, None, (1, 6, 6), "float64", "cpu")
    shared = load_model("torch_models:deep_linear", 0, None, None, "float64", "cpu")
    positions = predict_cost(conv, 5000.0, 50, 50, 2, "mean", 1e9, "auto")
    assert positions.method == "jacobian"
    assert "predicted" in positions.reason
    pairs = predict_cost(shared, 32.0, 50, 50, 64, "full", 1e9, "auto")
    assert pairs.method == "products"
    little = predict_cost(conv, 5000.0, 50, 50, 2, "mean", 100.0, "auto")
    assert (little.method, little.block) == ("products", 1)
    assert "does not fit" in little.reason
    with pytest.raises(OutOfSpace, match="Jacobian of one row"):
        predict_cost(conv, 5000.0, 50, 50, 2, "mean", 100.0, "jacobian")


def test_blocks_that_fit_the_memory_change_nothing_but_rounding() -> None:
    small = TorchKernel("torch_models:dense", memory=3 * 75 * 3 * 8 * 2)
    rows = torch.tensor(X)
    assert small.cost(rows, rows).block == 2
    np.testing.assert_allclose(small.tile(X), TorchKernel("torch_models:dense").tile(X), rtol=1e-12)


def test_a_checkpoint_is_read_without_running_code(tmp_path: Path) -> None:
    import torch_models

    torch.manual_seed(99)
    torch.save(torch_models.dense().state_dict(), tmp_path / "ok.pt")
    kernel = TorchKernel("torch_models:dense", checkpoint=str(tmp_path / "ok.pt"))
    np.testing.assert_allclose(kernel.tile(X), np.einsum("ijkk->ij", by_autograd("dense", X, 99)) / 3, rtol=1e-10)
    torch.save(Evil(tmp_path / "ran"), tmp_path / "evil.pt")
    with pytest.raises(InputError, match="cannot be read as weights only"):
        TorchKernel("torch_models:dense", checkpoint=str(tmp_path / "evil.pt"))
    assert not (tmp_path / "ran").exists()
    with pytest.raises(InputError, match="does not fit the model"):
        TorchKernel("torch_models:convolutional", checkpoint=str(tmp_path / "ok.pt"))


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"model": "torch_models"}, "not of the form module:factory"),
        ({"model": "torch_models:absent"}, "cannot be imported"),
        ({"model": "torch_models:torch"}, "not a function that makes a model"),
        ({"model": "torch_models:number"}, "returned int"),
        ({"model": "torch_models:frozen"}, "no trainable parameters"),
        ({"model": "torch_models:dense", "seeds": []}, "seeds is empty"),
        ({"model": "torch_models:dense", "method": "jacobi"}, "did you mean jacobian"),
        ({"model": "torch_models:dense", "device": "tpu"}, "device 'tpu'"),
    ],
)
def test_refusals_at_the_start(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        TorchKernel(**arguments)  # type: ignore[arg-type]


def test_refusals_when_rows_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = TorchKernel("torch_models:dense")
    with pytest.raises(InputError, match="does not take a row of 5 numbers"):
        kernel.for_inputs((5,))
    with pytest.raises(InputError, match="a row has 4"):
        TorchKernel("torch_models:convolutional", input_shape=(1, 6, 6)).for_inputs((4,))
    with pytest.raises(InputError, match="from 0 to 2"):
        TorchKernel("torch_models:dense", output=3).tile(X)
    with pytest.raises(InputError, match="one number per pair"):
        TorchKernel("torch_models:dense", output="full").tile(X)
    with pytest.raises(InputError, match="empirical NTK only"):
        kernel.tile(X, which="nngp")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="PyTorch finds none"):
            TorchKernel("torch_models:dense", device="cuda")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"pip install \"ntkdist\[torch\]\""):
        TorchKernel("torch_models:dense")


@pytest.mark.parametrize("method", ["jacobian", "products"])
def test_one_kernel_gives_several_threads_the_same_tiles(method: str) -> None:
    x = np.random.default_rng(2).standard_normal((24, 4))
    kernel = TorchKernel("torch_models:dense", method=method, device="cpu")
    alone = kernel.tile(x)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(kernel.tile, [x] * 24))
    for tile in together:
        np.testing.assert_array_equal(tile, alone)
