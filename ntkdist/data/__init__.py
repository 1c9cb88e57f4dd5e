"""Datasets by row blocks: readers, validation, targets, splits, normalisation, digests, duplicates."""

from ntkdist.data.digest import RowDigest
from ntkdist.data.duplicates import duplicate_groups
from ntkdist.data.normalise import Normaliser
from ntkdist.data.open_source import open_source
from ntkdist.data.source import Source
from ntkdist.data.split import Split, split_rows
from ntkdist.data.targets import Targets, encode_targets
from ntkdist.data.validate import check_directions, check_lengths, check_rows, check_targets

__all__ = [
    "Normaliser",
    "RowDigest",
    "Source",
    "Split",
    "Targets",
    "check_directions",
    "check_lengths",
    "check_rows",
    "check_targets",
    "duplicate_groups",
    "encode_targets",
    "open_source",
    "split_rows",
]
