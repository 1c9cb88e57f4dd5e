"""A preload of Dask workers: tiles of bands from 8 on take a quarter of a second for as long as a file is there."""

from __future__ import annotations

import os
import time
from typing import Any

from ntkdist.moments import on_moment


def slowly(moment: str, *where: Any) -> None:
    if moment == "tile.computed" and where[0] >= 8 and os.path.exists(os.environ["SLOW_TILES"]):
        time.sleep(0.25)


_SLOW = on_moment(slowly)
_SLOW.__enter__()
