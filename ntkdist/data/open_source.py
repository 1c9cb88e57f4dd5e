"""Find the reader of a dataset by its name: ``sklearn:digits``, or a file by its ending."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import error as StructError
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

from numpy.typing import NDArray

from ntkdist.data.readers.bundled import open_bundled
from ntkdist.data.readers.cifar import batches, open_cifar
from ntkdist.data.readers.csv import open_csv
from ntkdist.data.readers.hdf5 import open_hdf5
from ntkdist.data.readers.idx import is_idx, open_idx
from ntkdist.data.readers.npy import open_npy
from ntkdist.data.readers.npz import open_npz
from ntkdist.data.readers.parquet import open_parquet
from ntkdist.data.readers.zarr import open_zarr
from ntkdist.data.source import Source
from ntkdist.errors import InputError

READERS: dict[str, Callable[[Path, str, str], Source]] = {
    ".npz": open_npz,
    ".npy": open_npy,
    ".csv": open_csv,
    ".txt": open_csv,
    ".zarr": open_zarr,
    ".h5": open_hdf5,
    ".hdf5": open_hdf5,
    ".parquet": open_parquet,
    ".bin": open_cifar,
    ".idx": open_idx,
}


def open_source(path: str, x: str = "x", y: str = "y") -> Source:
    """Open the dataset at ``path``; ``x`` and ``y`` name the rows and targets inside it.

    Raises
    ------
    InputError
        Missing or unreadable file, unknown ending, or no such key inside: what, where, what to do.
    """
    if path.startswith("sklearn:"):
        return open_bundled(path)
    file = Path(path)
    if not file.exists():
        raise InputError(f"The dataset {path} does not exist; correct data.path.")
    reader = READERS.get(file.suffix.lower())
    if file.is_dir() and reader is None:
        reader = open_parquet if any(file.glob("*.parquet")) else open_cifar if batches(file) else None
    elif is_idx(file):
        reader = open_idx
    if reader is None:
        known = ", ".join(READERS)
        raise InputError(
            f"{path} has no ending that ntkdist reads ({known}, MNIST's …-ubyte[.gz], or sklearn:digits); convert it "
            "to one."
        )
    with unreadable_in_words(path):
        return Guarded(reader(file, x, y))


class Guarded:
    """A source whose damaged blocks are told in one sentence, whatever the library below raises."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name, self.n, self.features = source.name, source.n, source.features
        self.has_targets, self.shape = source.has_targets, source.shape

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start…stop−1."""
        with unreadable_in_words(self.name):
            return self._source.rows(start, stop)

    def targets(self, start: int, stop: int) -> NDArray[Any] | None:
        """Targets start…stop−1."""
        with unreadable_in_words(self.name):
            return self._source.targets(start, stop)


_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    RuntimeError,
    TypeError,
    SyntaxError,
    TokenError,
    StructError,
    BadZipFile,
    ZlibError,
)


@contextmanager
def unreadable_in_words(path: str) -> Iterator[None]:
    """Translate what readers raise over a damaged file into one sentence."""
    try:
        yield
    except InputError:
        raise
    except PermissionError:
        raise InputError(f"{path} cannot be read: permission denied.") from None
    except _UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read ({reason}); it is damaged or not what its ending says.") from error
