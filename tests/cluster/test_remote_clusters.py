"""Workers as SLURM jobs (with a stand-in for sbatch that runs the script it is given) and schedulers behind TLS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dask
import psutil
import pytest
from distributed.security import Security

from ntkdist.cluster import ClusterSpec, open_client, run_tiles
from ntkdist.errors import InputError
from ntkdist.tiling import Tiling

SBATCH = """#!/bin/bash
echo "$(basename "$1")" >> {log}
cp "$1" {folder}/job-$$.sh
setsid bash {folder}/job-$$.sh > {folder}/out-$$ 2>&1 < /dev/null &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/bash
for job in "$@"; do kill -- -$job 2> /dev/null; done
exit 0
"""


def square(i: int, j: int) -> tuple[int, int]:
    return i, j


def where(i: int, j: int) -> int:
    time.sleep(0.05)
    return os.getpid()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (folder / name).write_text(text.format(folder=tmp_path, log=tmp_path / "submitted"))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for process in psutil.process_iter(["cmdline"]):
        if f"{tmp_path}/job-" in " ".join(process.info["cmdline"] or []):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def spec(**more: object) -> ClusterSpec:
    options = {"queue": "gpu", "cores": 1, "memory": "1GB", "interface": "lo", "log_directory": "."}
    return ClusterSpec(type="slurm", workers=1, options=options, connect_timeout=60.0, **more)  # type: ignore[arg-type]


def submitted(folder: Path) -> int:
    log = folder / "submitted"
    return len(log.read_text().split()) if log.exists() else 0


def test_tiles_are_computed_by_slurm_jobs_over_tls_and_a_preempted_job_is_sent_again(slurm: Path) -> None:
    with open_client(spec()) as client:
        assert client.scheduler.address.startswith("tls://")
        (job,) = slurm.glob("job-*.sh")
        script = job.read_text()
        assert "#SBATCH -p gpu" in script
        assert "--tls-cert" in script
        assert "--no-dashboard" in script
        pids: list[int] = []
        run_tiles(client, where, Tiling(20, 10), pids.extend)
        assert os.getpid() not in pids
        for process in psutil.process_iter(["cmdline"]):
            if str(job) in " ".join(process.info["cmdline"] or []):
                os.killpg(process.pid, signal.SIGKILL)
        seen: list[tuple[int, int]] = []
        run_tiles(client, square, Tiling(50, 10), seen.extend)
        assert sorted(set(seen)) == sorted(Tiling(50, 10))
        assert submitted(slurm) == 2


def test_the_unencrypted_form_is_only_on_demand(slurm: Path) -> None:
    with open_client(spec(insecure=True)) as client:
        assert client.scheduler.address.startswith("tcp://")


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    files = {}
    for key, text in Security.temporary().get_tls_config_for_role("client").items():
        if isinstance(text, str) and "-----BEGIN" in text:
            (folder / f"{key}.pem").write_text(text)
            files[key] = str(folder / f"{key}.pem")
    return files


def test_a_scheduler_behind_tls_is_reached_with_the_certificates_of_dasks_settings(
    tls_files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    tls = [f"--tls-ca-file={tls_files['ca_file']}", f"--tls-cert={tls_files['cert']}", f"--tls-key={tls_files['key']}"]
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *tls, "--protocol", "tls", "--no-dashboard"]
    port = 18786 + os.getpid() % 1000
    common = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    address = f"tls://127.0.0.1:{port}"
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, *tls, "--no-dashboard", "--nworkers", "1"]
    with (
        subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], **common) as scheduler,  # type: ignore[call-overload]
        subprocess.Popen(worker, **common) as helper,  # type: ignore[call-overload]
    ):
        try:
            settings = {
                "distributed.comm.tls.ca-file": tls_files["ca_file"],
                "distributed.comm.tls.client.cert": tls_files["cert"],
                "distributed.comm.tls.client.key": tls_files["key"],
            }
            with (
                dask.config.set(settings),
                open_client(ClusterSpec(type="address", address=address, connect_timeout=60.0)) as client,
            ):
                seen: list[tuple[int, int]] = []
                run_tiles(client, square, Tiling(30, 10), seen.extend)
                assert sorted(seen) == sorted(Tiling(30, 10))
        finally:
            helper.terminate()
            scheduler.terminate()


@pytest.mark.parametrize("address", ["tcp://10.1.2.3:8786", "10.1.2.3:8786", "tcp://[fe80::1]:8786"])
def test_an_unencrypted_scheduler_on_another_machine_is_refused_unless_said_so(address: str) -> None:
    with (
        pytest.raises(InputError, match="on another machine and not encrypted"),
        open_client(ClusterSpec(type="address", address=address)),
    ):
        pass
