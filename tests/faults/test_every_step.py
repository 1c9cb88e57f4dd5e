"""Whatever fails at whatever step a store takes on its disk: one sentence, nothing lost, and the same command again
ends with the bits of an undisturbed run (promises P1, P2 and P4).
"""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

import pytest
from points import ERRORS, MINIMUM, SEEDS, STRIDE, die_in_a_fork, failing
from scenario import Life
from volatile import Recorder, replay

from ntkdist.errors import NtkdistError
from ntkdist.moments import on_moment

pytestmark = [
    pytest.mark.usefixtures("product_kernel"),
    pytest.mark.timeout(900),
    # Zarr leaves the writes of a batch behind of which one failed.
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]


def test_there_are_a_thousand_points() -> None:
    assert sum(MINIMUM.values()) >= 1000


def stopped_in_words(life: Life) -> bool:
    """Run; whether it was stopped by the disk, in one sentence with exit code 4 that names the store."""
    try:
        life.run()
    except NtkdistError as error:
        words, code = str(error), error.exit_code
    else:
        return False
    assert code == 4, words
    assert str(life.root) in words
    assert "\n" not in words
    return True


def recovers(life: Life) -> None:
    """What stands is right, and the same command again completes it."""
    before = life.check_what_stands()
    life.run()
    life.check_complete(before)
    shutil.rmtree(life.root)


@pytest.mark.parametrize("mode", ["once", "for ever"])
def test_an_error_at_the_kth_step_is_a_sentence_and_the_next_run_completes(memory_dir: Path, mode: str) -> None:
    points = 0
    for k in count(1, STRIDE[mode]):
        life = Life(memory_dir / f"{k}.zarr")
        with failing(k, ever=mode == "for ever") as steps:
            stopped = stopped_in_words(life)
        assert stopped == steps.reached, f"step {k} failed with {ERRORS[k % len(ERRORS)]} and nobody noticed"
        if not stopped:
            break
        recovers(life)
        points += 1
    assert points >= MINIMUM[mode]


def test_a_death_at_the_kth_write_is_resumed(memory_dir: Path) -> None:
    Life(memory_dir / "warm.zarr").run()
    points = 0
    for k in count(1, STRIDE["death"]):
        life = Life(memory_dir / f"{k}.zarr")
        if not die_in_a_fork(life.run, k):
            life.check_complete({})
            break
        recovers(life)
        points += 1
    assert points >= MINIMUM["death"]


@pytest.mark.parametrize("first", [60, 300], ids=["first run", "append"])
def test_a_fault_while_recovering_is_recovered_from(memory_dir: Path, first: int) -> None:
    points = 0
    for k in count(1, STRIDE["recovery"]):
        life = Life(memory_dir / f"{k}.zarr")
        with failing(first, ever=True, reads=False):
            assert stopped_in_words(life)
        with failing(k, ever=bool(k % 2)) as steps:
            stopped = stopped_in_words(life)
        assert stopped == steps.reached
        if not stopped:
            break
        recovers(life)
        points += 1
    assert points >= MINIMUM["recovery"] // 2


def test_a_power_cut_at_the_kth_step_leaves_no_receipt_without_its_tile(memory_dir: Path) -> None:
    recorder, base = Recorder(), memory_dir / "base"
    base.mkdir()
    with on_moment(recorder):
        Life(base / "a.zarr").run()
    points = 0
    for k in range(0, len(recorder.steps) + 1, STRIDE["power"]):
        for seed in range(SEEDS):
            target = memory_dir / f"{k}-{seed}"
            target.mkdir()
            replay(recorder.steps[:k], base, target, seed=1000 * k + seed)
            recovers(Life(target / "a.zarr"))
            points += 1
    assert points >= MINIMUM["power"]
