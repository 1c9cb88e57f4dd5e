"""Who holds which leaves: even shares by cores, and as few moves as possible when workers come and go."""

from __future__ import annotations

from collections.abc import Mapping


def share_out(owner: Mapping[int, str], threads: Mapping[str, int], leaves: int) -> dict[int, str]:
    """Give every leaf an owner among the workers of ``threads`` (address → cores).

    Leaves start in runs, so that a worker sums whole subtrees. Later only leaves move whose owner is gone, or that a
    worker holds beyond its share while another has less than its own.
    """
    workers = sorted(threads)
    total = sum(threads.values())
    if not total:
        return {}
    limits = _cuts([threads[w] for w in workers], leaves)
    fair = {w: stop - start for w, (start, stop) in zip(workers, limits, strict=True)}
    kept: dict[int, str] = {}
    held = dict.fromkeys(workers, 0)
    for leaf in range(leaves):
        w = owner.get(leaf)
        if w in held and held[w] < fair[w]:
            kept[leaf] = w
            held[w] += 1
    free = [leaf for leaf in range(leaves) if leaf not in kept]
    for w in workers:
        take, free = free[: fair[w] - held[w]], free[fair[w] - held[w] :]
        kept.update(dict.fromkeys(take, w))
    return dict(sorted(kept.items()))


def _cuts(weights: list[int], leaves: int) -> list[tuple[int, int]]:
    """Consecutive ranges of leaves in proportion to the weights."""
    total, done, start = sum(weights), 0, 0
    ranges = []
    for weight in weights:
        done += weight
        stop = round(leaves * done / total)
        ranges.append((start, stop))
        start = stop
    return ranges
