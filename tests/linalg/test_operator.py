from __future__ import annotations

import numpy as np
import pytest
from operator_conformance import TestDenseOperator as TestDenseOperator

from ntkdist.errors import InputError
from ntkdist.linalg import DenseOperator


def test_a_matrix_that_is_not_square_is_refused() -> None:
    with pytest.raises(InputError, match="square"):
        DenseOperator(np.ones((2, 3)))
