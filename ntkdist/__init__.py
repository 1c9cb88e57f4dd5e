"""Exact Neural Tangent Kernel analysis of real datasets, at any scale."""

from __future__ import annotations

__version__ = "0.1.0"
