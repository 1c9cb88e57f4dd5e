"""Exact infinite-width kernels of fully connected and convolutional networks."""

from __future__ import annotations

from ntkdist.kernels.activation import Activation
from ntkdist.kernels.catalog import ACTIVATIONS
from ntkdist.kernels.conv import ConvKernel
from ntkdist.kernels.error import EntryError
from ntkdist.kernels.kernel import Kernel
from ntkdist.kernels.layer import Layer
from ntkdist.kernels.protocol import TileKernel, kernel_from_spec

__all__ = ["ACTIVATIONS", "Activation", "ConvKernel", "EntryError", "Kernel", "Layer", "TileKernel", "kernel_from_spec"]
