"""Exact kernels of convolutional networks: CNTK and CNNGP on images of any size."""

from __future__ import annotations

from ntkdist.kernels.conv.kernel import ConvKernel

__all__ = ["ConvKernel"]
