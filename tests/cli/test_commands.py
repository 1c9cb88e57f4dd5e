"""Every command from the shell: what it prints, what it refuses, its exit code."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from program import LEAN, ntkdist, sentence, write_config

from ntkdist.store import RunStore


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    write_config(folder, **LEAN)
    done = ntkdist("run", "c.yaml", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "results.json").write_text(done.stdout)
    return folder


def test_run_prints_one_json_document_and_leaves_store_and_report(run_folder: Path) -> None:
    results = json.loads((run_folder / "results.json").read_text())
    assert results["complete"]
    assert results["gram"]["finished_tiles"] == results["gram"]["tiles"]
    assert (run_folder / "a.html").stat().st_size > 10_000
    assert (run_folder / "a.zarr" / "zarr.json").is_file()


def test_the_table_names_every_promised_quantity(run_folder: Path) -> None:
    done = ntkdist("run", "c.yaml", cwd=run_folder)
    assert done.returncode == 0, done.stderr
    for name in ("λ_min", "λ_max", "Residual", "Accuracy", "rigorous", "Report: a.html"):
        assert name in done.stdout, name


def test_inspect_and_report_work_on_a_finished_store(run_folder: Path) -> None:
    assert json.loads(ntkdist("inspect", "a.zarr", "--json", cwd=run_folder).stdout)["complete"]
    assert "λ_min" in ntkdist("inspect", "a.zarr", cwd=run_folder).stdout
    done = ntkdist("report", "a.zarr", "-o", "b.html", "--figures", "figures", "--json", cwd=run_folder)
    assert done.returncode == 0, done.stderr
    assert (run_folder / "b.html").is_file()
    written = json.loads(done.stdout)["figures"]
    assert any(name.endswith(".csv") for name in written)
    assert all((run_folder / name).stat().st_size for name in written)


def test_verify_accepts_then_names_then_repairs(run_folder: Path) -> None:
    assert ntkdist("verify", "a.zarr", cwd=run_folder).returncode == 0
    chunk = run_folder / "a.zarr" / "gram" / "c" / "1" / "0"
    before = chunk.read_bytes()
    chunk.write_bytes(bytes(8) + before[8:])
    done = ntkdist("verify", "a.zarr", "--json", cwd=run_folder)
    assert done.returncode == 1
    assert json.loads(done.stdout)["damaged"] == [[1, 0]]
    assert ntkdist("verify", "a.zarr", "--repair", cwd=run_folder).returncode == 0
    assert chunk.read_bytes() == before
    assert ntkdist("verify", "a.zarr", cwd=run_folder).returncode == 0
    assert ntkdist("run", "c.yaml", cwd=run_folder).returncode == 0


def test_compare_puts_runs_side_by_side(run_folder: Path) -> None:
    done = ntkdist("compare", "a.zarr", "a.zarr", "-o", "compare.html", cwd=run_folder)
    assert done.returncode == 0, done.stderr
    assert "λ_min" in done.stdout
    assert (run_folder / "compare.html").is_file()
    assert len(json.loads(ntkdist("compare", "a.zarr", "--json", cwd=run_folder).stdout)["runs"]) == 1


def test_plan_predicts_without_writing(tmp_path: Path) -> None:
    write_config(tmp_path, **LEAN)
    before = sorted(tmp_path.rglob("*"))
    plan = json.loads(ntkdist("plan", "c.yaml", "--json", cwd=tmp_path).stdout)
    assert (plan["n_train"], plan["n_test"], plan["tiles"]) == (192, 48, 6)
    assert plan["gram_bytes"] == 8 * (3 * 80 * 32 + 3 * 80 * 80 - 80 * 32 + 32 * 32)
    assert plan["rates_from"].startswith("measured now on 1 worker")
    assert plan["hours"] > 0
    assert all(rate > 0 for rate in plan["rates"].values())
    table = ntkdist("plan", "c.yaml", "--set", "gram.mode=resident", "--gpus", "64", "--gpu", "h200", cwd=tmp_path)
    assert "predicted from the data sheet of the H200" in " ".join(table.stdout.split())
    assert sorted(tmp_path.rglob("*")) == before


def test_init_writes_a_config_that_plans_and_never_overwrites(tmp_path: Path) -> None:
    assert ntkdist("init", cwd=tmp_path).returncode == 0
    assert ntkdist("plan", "ntk.yaml", "--no-measure", cwd=tmp_path).returncode == 0
    again = ntkdist("init", cwd=tmp_path)
    assert again.returncode == 2
    assert "exists already" in sentence(again)
    odd = "my data: [1]/x #1.npz"
    assert ntkdist("init", odd, "-o", "odd.yaml", "--json", cwd=tmp_path).returncode == 0
    assert yaml.safe_load((tmp_path / "odd.yaml").read_text())["data"]["path"] == odd


def test_doctor_and_schema_answer(tmp_path: Path) -> None:
    assert json.loads(ntkdist("doctor", "--json", cwd=tmp_path).stdout)["ok"]
    assert ntkdist("doctor", cwd=tmp_path).returncode == 0
    assert "properties" in json.loads(ntkdist("schema", cwd=tmp_path).stdout)


def bad(kind: str, folder: Path) -> None:
    x, y = np.random.default_rng(0).standard_normal((30, 3)), np.arange(30) % 2
    if kind == "nan":
        x[[4, 9], 1] = np.nan
    elif kind == "inf target":
        y = y.astype(float)
        y[3] = np.inf
    elif kind == "length":
        y = y[:20]
    elif kind == "zero row":
        x[6] = 0
    np.savez(folder / "d.npz", x=x, y=y)


@pytest.mark.parametrize(
    ("kind", "overrides", "words"),
    [
        ("nan", [], "NaN in rows 4, 9"),
        ("inf target", [], "y holds Inf in row 3"),
        ("length", [], "one target row per row of x"),
        ("zero row", [], "row 6"),
        ("none", ["kernel.activation=rleu"], "did you mean relu"),
        ("none", ["kernel.sigma_w=0"], "kernel.sigma_w"),
        ("none", ["data.path=missing.npz"], "missing.npz does not exist"),
        ("none", ["data.x=rows"], "has no array 'rows'"),
        ("none", ["store=d.npz"], "d.npz"),
        ("none", ["store=/proc/a.zarr"], "/proc"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path: Path, kind: str, overrides: list[str], words: str) -> None:
    write_config(tmp_path, **LEAN)
    bad(kind, tmp_path)
    done = ntkdist("run", "c.yaml", *(f"--set={o}" for o in overrides), "--json", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert words in sentence(done)
    assert json.loads(done.stdout)["exit_code"] == 2


def test_an_existing_store_of_another_kernel_is_refused(run_folder: Path) -> None:
    done = ntkdist("run", "c.yaml", "--set", "kernel.depth=2", cwd=run_folder)
    assert done.returncode == 2
    assert "another kernel" in sentence(done)


def test_usage_errors_have_exit_code_2_and_debug_shows_the_traceback(tmp_path: Path) -> None:
    for arguments in (["run"], ["run", "--nope"], ["nope"]):
        assert ntkdist(*arguments, cwd=tmp_path).returncode == 2
    done = ntkdist("inspect", "none.zarr", "--debug", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_read_only_folder_and_a_full_disk_are_told_apart(tmp_path: Path) -> None:
    def mounted(options: str) -> Path:
        place = tmp_path / options.replace("=", "")
        place.mkdir()
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, check=False
        )
        if made.returncode:
            pytest.skip("mounting a small file system needs root")
        return place

    write_config(tmp_path, **LEAN)
    place = mounted("ro")
    try:
        done = ntkdist("run", "c.yaml", "--set", f"store={place}/a.zarr", cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert "cannot be written" in sentence(done)
    finally:
        subprocess.run(["umount", str(place)], check=True)
    place = mounted("size=100k")
    try:
        done = ntkdist("run", "c.yaml", "--set", f"store={place}/a.zarr", cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert "free" in sentence(done)
        (place / "big").write_bytes(b"")
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_depth_tabulates_and_writes_what_it_is_asked_for(tmp_path: Path) -> None:
    write_config(tmp_path, rows=40)
    done = ntkdist("depth", "c.yaml", "--depths", "1,4", "--rows", "20", "-o", "d.html", "--figures", "f", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("λ_min", "effective", "χ₁", "at equal steps", "Wrote d.html"):
        assert word in done.stdout, word
    assert (tmp_path / "d.html").stat().st_size > 10_000
    assert len(list((tmp_path / "f").iterdir())) == 9
    done = ntkdist("depth", "c.yaml", "--depths", "1,4", "--rows", "20", "--json", cwd=tmp_path)
    assert [part["depth"] for part in json.loads(done.stdout)["spectra"]] == [1, 4]
    done = ntkdist("depth", "c.yaml", "--depths", "one", cwd=tmp_path)
    assert done.returncode == 2
    assert "whole numbers" in sentence(done)


def test_append_then_export_of_the_grown_matrix(tmp_path: Path) -> None:
    write_config(tmp_path, rows=40, **LEAN)
    assert ntkdist("run", "c.yaml", cwd=tmp_path).returncode == 0
    with np.load(tmp_path / "d.npz") as data:
        x = np.random.default_rng(0).permutation(data["x"].ravel()).reshape(data["x"].shape)[:6]
        np.savez(tmp_path / "more.npz", x=x, y=data["y"][:6])
    grown = ntkdist("append", "a.zarr", "more.npz", "--json", cwd=tmp_path)
    assert grown.returncode == 0, grown.stderr
    n = RunStore(tmp_path / "a.zarr").identity.n  # type: ignore[union-attr]
    assert n == 32 + 6
    exported = ntkdist("export", "a.zarr", "k.npy", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    matrix = np.load(tmp_path / "k.npy")
    assert matrix.shape == (n, n)
    np.testing.assert_array_equal(matrix, matrix.T)


def test_widths_prints_its_study(tmp_path: Path) -> None:
    study = {"widths": [8, 16, 32], "seeds": [0], "parameterizations": ["ntk"], "steps": 5, "rows": 12}
    write_config(tmp_path, rows=40, widths=study, kernel={"depth": 1})
    done = ntkdist("widths", "c.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["widths"]["studies"][0]["name"] == "ntk"
    again = ntkdist("widths", "c.yaml", cwd=tmp_path)
    assert "Width: exponents" in again.stdout
