"""Types of NumPy arrays that many modules name."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int32]  # of codes
IndexArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
