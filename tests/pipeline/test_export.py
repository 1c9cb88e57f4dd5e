"""A dense file for scikit-learn, and test × train blocks that are stored on request."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

import ntkdist as ntk
from ntkdist.config import RunConfig, parse_config
from ntkdist.errors import ChecksFailed, InputError
from ntkdist.moments import on_moment
from ntkdist.pipeline.cross_blocks import store_cross_blocks
from ntkdist.pipeline.export import export_gram
from ntkdist.pipeline.run import run
from ntkdist.pipeline.verify import verify_run
from ntkdist.store import RunStore

X = np.random.default_rng(0).standard_normal((60, 5))


def config(folder: Path, *overrides: str) -> RunConfig:
    np.savez(folder / "d.npz", x=X, y=np.sin(X[:, 0]))
    tree = {"data": {"path": str(folder / "d.npz")}, "gram": {"tile": 13}, "store": str(folder / "a.zarr")}
    return parse_config({**tree, "solve": {"ridge": 0.1}}, overrides)


def test_scikit_learn_takes_the_exported_files_and_agrees(tmp_path: Path) -> None:
    run(config(tmp_path))
    root = tmp_path / "a.zarr"
    verdict = export_gram(root, tmp_path / "k.npy")
    assert verdict["shape"] == [48, 48]
    k = np.load(tmp_path / "k.npy", mmap_mode="r")
    np.testing.assert_array_equal(k, ntk.open(root).gram.to_numpy())
    export_gram(root, tmp_path / "c.npy", test=True)
    opened = ntk.open(root)
    ridge = KernelRidge(alpha=0.1, kernel="precomputed").fit(k, opened.inputs["y_train"].values)
    predicted = ridge.predict(np.load(tmp_path / "c.npy", mmap_mode="r"))
    np.testing.assert_allclose(predicted, opened.predictions.values, atol=1e-6)


def test_an_export_refuses_what_it_cannot_do_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "a.zarr"
    ntk.gram(X, ntk.Kernel(), store=root, tile=20)
    with pytest.raises(InputError, match="must end"):
        export_gram(root, tmp_path / "k.txt")
    with pytest.raises(InputError, match="no held-out"):
        export_gram(root, tmp_path / "k.npy", test=True)
    export_gram(root, tmp_path / "k.npy")
    with pytest.raises(InputError, match="--force"):
        export_gram(root, tmp_path / "k.npy")
    chunk = RunStore(root).tiles.chunk_path(1, 0)
    data = bytearray(chunk.read_bytes())
    data[5] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(ChecksFailed, match=r"Tile \(1, 0\)"):
        export_gram(root, tmp_path / "l.npy")
    assert sorted(p.name for p in tmp_path.glob("*.npy*")) == ["k.npy"]
    RunStore(root, mode="r+").tiles.forget([(1, 0)])
    with pytest.raises(InputError, match="1 tiles"):
        export_gram(root, tmp_path / "l.npy")
    monkeypatch.setattr("ntkdist.store.durable.os.statvfs", lambda _: type("S", (), {"f_bavail": 1, "f_frsize": 1}))
    RunStore(root, mode="r+")
    with pytest.raises(InputError, match=r"1 tiles|free"):
        export_gram(root, tmp_path / "l.npy")


def test_stored_blocks_give_the_streamed_predictions_and_are_resumed_and_verified(tmp_path: Path) -> None:
    streamed = run(config(tmp_path, f"store={tmp_path}/b.zarr"))
    stored = run(config(tmp_path, "predict.store=true"))
    a, b = ntk.open(tmp_path / "a.zarr").predictions.values, ntk.open(tmp_path / "b.zarr").predictions.values
    np.testing.assert_allclose(a, b, rtol=1e-12)
    assert stored["predictions"]["metrics"]["mse"] == pytest.approx(streamed["predictions"]["metrics"]["mse"])
    store = RunStore(tmp_path / "a.zarr", mode="r+")
    assert store_cross_blocks(store, ntk.open(tmp_path / "a.zarr").kernel) == 0
    chunk = store.rows("cross/blocks").chunk_path(0, 1)
    chunk.write_bytes(bytes(len(chunk.read_bytes())))
    assert verify_run(tmp_path / "a.zarr")["stages"] == ["cross"]
    assert verify_run(tmp_path / "a.zarr", repair=True)["repaired"]
    blocks = []
    with pytest.raises(KeyboardInterrupt), on_moment(_interrupt_after_two(blocks)):
        store_cross_blocks(RunStore(tmp_path / "a.zarr", mode="r+"), ntk.open(tmp_path / "a.zarr").kernel)
    assert store_cross_blocks(RunStore(tmp_path / "a.zarr", mode="r+"), ntk.open(tmp_path / "a.zarr").kernel) == 2
    assert run(config(tmp_path, "predict.store=true"))["complete"]


def _interrupt_after_two(blocks: list[object]):
    def hook(moment: str, *where: object) -> None:
        if moment == "cross.block":
            blocks.append(where)
            if len(blocks) == 2:
                raise KeyboardInterrupt

    return hook
