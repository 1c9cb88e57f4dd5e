"""Small PyTorch models for the tests, made by factories as a user's would be."""

from __future__ import annotations

import torch
from torch import nn


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 9), nn.GELU(), nn.Linear(9, 3))


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(3, 2),
    )  # fmt: skip


def partly_frozen() -> nn.Module:
    model = dense()
    model[0].requires_grad_(False)
    return model


def frozen() -> nn.Module:
    return dense().requires_grad_(False)


def deep_linear() -> nn.Module:
    """Many outputs and shared weights: the Jacobian is large and a product cheap."""

    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(4, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(x @ self.w)

    return Shared()


def number() -> int:
    return 3
