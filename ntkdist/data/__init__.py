"""Datasets by row blocks: readers, validation, targets, splits, normalisation, digests, duplicates."""

from ntkdist.data.digest import RowDigest
from ntkdist.data.duplicates import differing_targets, duplicate_groups
from ntkdist.data.normalise import Normaliser
from ntkdist.data.open_source import open_source
from ntkdist.data.scan import Piece, piece_rows, scan_piece
from ntkdist.data.signature import signature
from ntkdist.data.source import ArraySource, Source
from ntkdist.data.split import Split, split_rows
from ntkdist.data.targets import Targets, encode_targets
from ntkdist.data.validate import check_directions, check_lengths, check_precision, check_rows, check_targets

__all__ = [
    "ArraySource",
    "Normaliser",
    "Piece",
    "RowDigest",
    "Source",
    "Split",
    "Targets",
    "check_directions",
    "check_lengths",
    "check_precision",
    "check_rows",
    "check_targets",
    "differing_targets",
    "duplicate_groups",
    "encode_targets",
    "open_source",
    "piece_rows",
    "scan_piece",
    "signature",
    "split_rows",
]
