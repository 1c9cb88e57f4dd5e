"""Kernel regression of infinitely wide networks as scikit-learn estimators, on the engine of the runs."""

from ntkdist.estimators.classifier import NTKClassifier
from ntkdist.estimators.gp_kernel import NTKGPKernel
from ntkdist.estimators.regressor import NTKRegressor

__all__ = ["NTKClassifier", "NTKGPKernel", "NTKRegressor"]
