"""Networks of finite width: their empirical NTK, their training, their parameterizations."""

from ntkdist.kernels.finite_width.descent import Descent, train
from ntkdist.kernels.finite_width.empirical_kernel import EmpiricalKernel
from ntkdist.kernels.finite_width.network import Architecture, Network
from ntkdist.kernels.finite_width.parameterization import (
    Classification,
    Parameterization,
    parameterization,
)
from ntkdist.kernels.finite_width.structured import features, structured_ntk
from ntkdist.kernels.finite_width.torch_kernel import TorchKernel
from ntkdist.kernels.finite_width.weights_file import load_network, save_network

__all__ = [
    "Architecture",
    "Classification",
    "Descent",
    "EmpiricalKernel",
    "Network",
    "Parameterization",
    "TorchKernel",
    "features",
    "load_network",
    "parameterization",
    "save_network",
    "structured_ntk",
    "train",
]
