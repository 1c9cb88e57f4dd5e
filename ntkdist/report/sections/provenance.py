"""Where, when and with what a run was made, and how long each stage took."""

from __future__ import annotations

from ntkdist.report.quantity import count, duration
from ntkdist.report.reading import Results, number, section
from ntkdist.report.rows import Row, row


def timing_rows(results: Results) -> tuple[Row, ...]:
    """Wall-clock seconds by stage, then their sum."""
    found = {name: s for name, value in section(results, "timings").items() if (s := number(value)) is not None}
    if not found:
        return ()
    rows = [row(name, duration(seconds)) for name, seconds in found.items()]
    return (*rows, row("all stages", duration(sum(found.values()))))


def provenance_rows(results: Results) -> tuple[Row, ...]:
    """Run, identity, host, versions, start and end, command."""
    provenance = section(results, "provenance")
    rows = []
    for name, key in (("Run", "run"), ("Identity", "identity"), ("ntkdist", "version")):
        if results.get(key):
            rows.append(row(name, results[key]))
    for name, key in (
        ("Command", "command"),
        ("Host", "host"),
        ("System", "system"),
        ("Python", "python"),
        ("Started", "started"),
        ("Finished", "finished"),
    ):
        if provenance.get(key):
            rows.append(row(name, provenance[key]))
    if number(provenance.get("cores")) is not None:
        rows.append(row("Cores", count(provenance["cores"])))
    versions = section(provenance, "versions")
    if versions:
        rows.append(row("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    return tuple(rows)
