"""How fast the heavy parts ran: tiles, products K·V, and on what."""

from __future__ import annotations

from ntkdist.report.quantity import count, duration, rate, size
from ntkdist.report.reading import Results, number, section
from ntkdist.report.rows import Row, row


def performance_rows(results: Results) -> tuple[Row, ...]:
    """Rates of the last session that computed tiles, and of the last one that multiplied by them."""
    performance = section(results, "performance")
    gram, passes, cluster = (section(performance, name) for name in ("gram", "passes", "cluster"))
    rows = []
    if number(gram.get("tiles")):
        wall = number(gram.get("wall_seconds"))
        rows.append(
            row(
                "Gram tiles",
                count(gram["tiles"]),
                note=f"median {duration(gram.get('tile_seconds_median'))}, 95% within "
                f"{duration(gram.get('tile_seconds_95'))} a tile; {len(section(gram, 'tiles_by_worker'))} worker(s)",
            )
        )
        if wall:
            rows.append(
                row(
                    "Gram rate",
                    rate(gram.get("entries_per_second"), "entries"),
                    note=f"{count(gram.get('entries'))} stored entries in {duration(wall)}",
                )
            )
        rows.append(
            row(
                "Tiles written",
                size(gram.get("bytes_written")),
                note=f"{duration(gram.get('write_seconds'))} of copying and writing beside "
                f"{duration(gram.get('compute_seconds'))} of computing, summed over threads",
            )
        )
    if number(passes.get("passes")):
        rows.append(
            row(
                "Products K·V",
                f"{count(passes['passes'])} passes of {count(passes.get('columns'))} columns in all",
                note=f"{passes.get('mode')}: {rate(passes.get('entries_per_second'), 'stored entries')}, "
                f"{rate(passes.get('flops_per_second'), 'flop')}",
            )
        )
    if rows and cluster:
        rows.append(
            row("Cluster", f"{cluster.get('type')}, {count(cluster.get('workers'))} worker(s)",
                note=f"{count(cluster.get('cores_here'))} cores on the driver's machine")
        )  # fmt: skip
    return tuple(rows)
