"""A check of the arrays that stages write: values that are not finite are refused."""

import numpy as np
import numpy.typing as npt

from audio.recordings.manifest import Clip
from foundation.errors import InputError


def require_finite(values: npt.NDArray[np.generic], clip: Clip, what: str) -> None:
    """Refuse values that a model cannot be trained on.

    Raises:
        InputError: a value is NaN or infinite, or did not fit into the type of the array; the message names the clip.
    """
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        raise InputError(
            f"{clip.name}: its {what} hold values that are not finite, and nothing can be trained on them; leave the "
            "recording out, or check the options of audio"
        )
