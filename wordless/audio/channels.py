r"""Which channel of a recording is read: the mean of all, one of them, or the loudest.

The mean loses what channels hold with opposite signs, such as a balanced line whose halves were recorded as stereo::

    channel 0     /\__/\__
    channel 1    _\/__\/__        mean  __________        audio.channel=0   /\__/\__
"""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from wordless.audio.waveform import FloatArray
from wordless.base.ranges import require

Channel = int | Literal["mean", "loudest"]  # a number counts from 0
FAR_SOFTER = 0.1  # of the power of a mean in which the loudest channel sounds alone


def require_choice(channel: Channel, option: str) -> None:
    """Refuse a number below 0, and words of a saved model that this version does not know."""
    known = channel in get_args(get_args(Channel)[1]) if isinstance(channel, str) else channel >= 0
    require(known, option, channel, "choose mean, loudest, or the number of a channel, from 0 on")


class ChannelPowers:
    """Energy of each channel of a recording, and of the samples that were read from them, summed block by block."""

    def __init__(self) -> None:
        self.sample_rate = 0  # Hz, of the recording
        self._channels: npt.NDArray[np.float64] = np.zeros(1)
        self._read = 0.0

    def add(self, block: npt.NDArray[np.floating], read: FloatArray) -> None:
        """Add the power of a block ``(samples, channels)``, and that of the samples ``(samples,)`` read from it."""
        with np.errstate(over="ignore", invalid="ignore"):  # samples that are not finite are refused elsewhere
            self._channels = self._channels + np.square(block, dtype=np.float64).sum(0)
            self._read += float(np.square(read, dtype=np.float64).sum())

    @property
    def loudest(self) -> int:
        """The channel with the highest power; the first of equal ones."""
        return int(np.argmax(self._channels))

    @property
    def louder(self) -> int | None:
        """The loudest channel, if what was read is far too soft for it: channels cancel, or another channel was read.

        The mean of ``n`` channels of which one sounds alone has ``1 / n**2`` of its power.
        """
        loudest = float(self._channels[self.loudest])
        return self.loudest if self._read < FAR_SOFTER * loudest / len(self._channels) ** 2 else None


def cancelled(channel: int | None, louder: int) -> str:
    """Say why a recording is silent although its channel ``louder`` is not; ``channel`` was read, or the mean."""
    if channel is None:
        return f"its channels cancel each other in their mean; choose audio.channel={louder}, or loudest"
    return (
        f"its channel {channel} is silent, and its channel {louder} is not; choose audio.channel={louder}, or loudest"
    )
