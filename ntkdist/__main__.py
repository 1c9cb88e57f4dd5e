"""``python -m ntkdist``: the command line."""

from ntkdist.cli import main

main()
