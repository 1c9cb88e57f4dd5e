"""What was analysed: the dataset as prepared, and the kernel."""

from __future__ import annotations

from ntkdist.report.quantity import count
from ntkdist.report.reading import Results, items, section
from ntkdist.report.rows import Row, row


def data_rows(results: Results) -> tuple[Row, ...]:
    """The dataset: rows, features, targets, what was normalised, duplicates, digest."""
    data = section(results, "data")
    if not data:
        return ()
    classes = items(data.get("classes"))
    shown = ", ".join(str(c) for c in classes[:12]) + (f", … {len(classes)} in all" if len(classes) > 12 else "")
    rows = [
        row("Source", data.get("source", "not recorded")),
        row("Rows", f"{count(data.get('n_train'))} train, {count(data.get('n_test'))} test"),
        row("Features", count(data.get("features")), note=_constant(data.get("constant_features"))),
        row("Targets", f"{count(data.get('outputs'))} ({data.get('task', 'task not recorded')})"),
    ]
    if classes:
        rows.append(row("Classes", shown, note=data.get("encoding") or ""))
    rows.append(row("Normalisation", data.get("normalise", "not recorded")))
    duplicates, groups = count(data.get("duplicate_rows")), count(data.get("duplicate_groups"))
    note = "" if duplicates == "0" else "equal rows make Θ singular: λ_min = 0 without a ridge"
    rows.append(row("Duplicate rows", f"{duplicates} in {groups} groups", note=note))
    if data.get("digest"):
        rows.append(row("Digest", data["digest"]))
    return tuple(rows)


def kernel_rows(results: Results) -> tuple[Row, ...]:
    """The kernel: description, which of NTK and NNGP, fingerprint."""
    kernel = section(results, "kernel")
    if not kernel:
        return ()
    which = str(kernel.get("which", "not recorded"))
    name = {"ntk": "NTK Θ (training dynamics)", "nngp": "NNGP Σ (prior at initialisation)"}.get(which, which)
    rows = [row("Kernel", kernel.get("description") or "not recorded", note=name)]
    if kernel.get("fingerprint"):
        rows.append(row("Fingerprint", kernel["fingerprint"]))
    return tuple(rows)


def _constant(features: object) -> str:
    known = count(features)
    return "" if known in ("0", "not recorded") else f"{known} of them constant over all rows"
