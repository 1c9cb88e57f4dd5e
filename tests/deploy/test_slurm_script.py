"""The SLURM batch script: what it runs, and that a job stopped by SLURM stops in order and is queued again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "slurm" / "ntkdist.sbatch"
PROGRAM = """#!/bin/bash
echo "$@" >> {folder}/calls
trap 'echo stopped >> {folder}/calls; sleep 0.3; exit 143' TERM
touch {folder}/running
for k in $(seq {steps}); do sleep 0.05; done
exit {code}
"""


def folder_with(tmp_path: Path, *, code: int = 0, steps: int = 1) -> dict[str, str]:
    for name, text in (
        (".venv/bin/ntkdist", PROGRAM.format(folder=tmp_path, code=code, steps=steps)),
        ("bin/scontrol", f'#!/bin/bash\necho "scontrol $@" >> {tmp_path}/calls\n'),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    more = {"SLURM_JOB_ID": "42", "SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_GPUS_ON_NODE": "4"}
    return {**os.environ, **more, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "calls").read_text().splitlines()


def test_the_run_gets_a_worker_per_gpu_and_its_exit_code_is_the_jobs(tmp_path: Path) -> None:
    env = folder_with(tmp_path, code=6)
    done = subprocess.run(["bash", str(SCRIPT), "c.yaml", "--set", "kernel.depth=5"], env=env, check=False)
    assert done.returncode == 6
    (call,) = calls(tmp_path)
    assert call.startswith("run c.yaml --set cluster.type=cuda --set cluster.workers=4")
    assert call.endswith("--set kernel.depth=5")


def test_a_job_that_slurm_ends_stops_in_order_and_is_queued_again(tmp_path: Path) -> None:
    env = folder_with(tmp_path, steps=400)
    with subprocess.Popen(["bash", str(SCRIPT), "c.yaml"], env=env) as job:
        end = time.monotonic() + 30
        while not (tmp_path / "running").exists() and time.monotonic() < end:
            time.sleep(0.02)
        job.send_signal(signal.SIGTERM)
        assert job.wait(30) == 143
    assert calls(tmp_path)[1:] == ["stopped", "scontrol requeue 42"]


def test_a_job_that_lost_its_workers_is_queued_again(tmp_path: Path) -> None:
    done = subprocess.run(["bash", str(SCRIPT), "c.yaml"], env=folder_with(tmp_path, code=5), check=False)
    assert done.returncode == 5
    assert calls(tmp_path)[1:] == ["scontrol requeue 42"]


def test_a_job_that_was_requeued_takes_its_own_lock_over_and_does_not_lose_its_workers_for_ever(tmp_path: Path) -> None:
    env = {**folder_with(tmp_path, code=5), "SLURM_RESTART_COUNT": "5"}
    done = subprocess.run(["bash", str(SCRIPT), "c.yaml"], env=env, check=False)
    assert done.returncode == 5
    (call,) = calls(tmp_path)
    assert call.endswith("--unlock")


def test_without_a_configuration_it_says_how_it_is_called(tmp_path: Path) -> None:
    done = subprocess.run(["bash", str(SCRIPT)], env=folder_with(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "usage: sbatch ntkdist.sbatch CONF" in done.stderr


@pytest.mark.parametrize("directive", ["--requeue", "--signal=B:TERM@120", "--open-mode=append"])
def test_it_asks_slurm_for_what_preemption_needs(directive: str) -> None:
    assert re.search(rf"^#SBATCH {re.escape(directive)}$", SCRIPT.read_text(), re.MULTILINE)
