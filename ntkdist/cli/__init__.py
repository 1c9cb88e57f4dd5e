"""The command line: a thin layer over the pipeline's functions."""

from ntkdist.cli.app import main

__all__ = ["main"]
