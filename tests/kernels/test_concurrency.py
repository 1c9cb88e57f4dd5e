"""Tiles computed by several threads at once, from the first one on, have the bits of tiles computed alone."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from ntkdist.kernels import Kernel
x = np.random.default_rng(0).standard_normal((150, 9))
kernel = Kernel(depth=int(sys.argv[2]))
parts = [x[:60], x[60:120], x[120:]]
places = [(i, j) for i in range(3) for j in range(i + 1)]
with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    tiles = list(pool.map(lambda p: kernel.tile(parts[p[0]], parts[p[1]]), places))
print("".join(tile.tobytes().hex() for tile in tiles))
"""


def test_the_first_tiles_of_a_process_do_not_depend_on_the_number_of_threads() -> None:
    # A fresh process each time: what is fitted and compiled once per process is what could race.
    outputs = {
        subprocess.run([sys.executable, "-c", PROGRAM, threads, "4"], capture_output=True, text=True, check=True).stdout
        for threads in ("1", "4", "4", "4")
    }
    assert len(outputs) == 1
