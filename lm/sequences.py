"""The code sequences of a corpus in one array, with several views of each clip."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokenizer.codes import IntArray
from wordless.base.errors import InputError

IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class CodeSequences:
    """Clips with one or more sequences of codes each: their views.

    Views are the same sound cut into patches from other offsets, or warped. The first view is the original clip.

    Raises:
        InputError: there is no clip, a clip has no view, or a view has no code.
    """

    # (total time, streams), all sequences one after the other; of an upsampler (total time, streams + columns), with
    # what `lm.conditions` reads at each time step
    values: IntArray
    offsets: IndexArray  # (sequences + 1,) time steps: sequence i is values[offsets[i] : offsets[i + 1]]
    first_views: IndexArray  # (clips + 1,) sequences: clip c has the views first_views[c] to first_views[c + 1] - 1

    def __post_init__(self) -> None:
        if len(self.first_views) < 2:
            remedy = "a language model needs at least one: look at the manifest and its splits"
            raise InputError(f"sequences hold 0 clips; {remedy}")
        self._require_filled("clip", "view", self.first_views)
        self._require_filled("sequence", "code", self.offsets)

    @classmethod
    def of(cls, clips: Iterable[Sequence[IntArray]]) -> "CodeSequences":
        """Build sequences from the views ``(time, streams)`` of each clip."""
        clips = list(clips)
        views = [view for clip in clips for view in clip]
        return cls(
            values=np.concatenate(views) if views else np.zeros((0, 1), np.int32),
            offsets=_boundaries([len(view) for view in views]),
            first_views=_boundaries([len(clip) for clip in clips]),
        )

    @property
    def num_clips(self) -> int:
        """Number of clips."""
        return len(self.first_views) - 1

    @property
    def lengths(self) -> IndexArray:
        """Time steps of each clip's first view ``(clips,)``."""
        first = self.first_views[:-1]
        return self.offsets[first + 1] - self.offsets[first]

    def num_views(self, clip: int) -> int:
        """Return the number of views of a clip."""
        return int(self.first_views[clip + 1] - self.first_views[clip])

    def view(self, clip: int, view: int = 0) -> IntArray:
        """Return the codes ``(time, streams)`` of one view of a clip."""
        sequence = int(self.first_views[clip]) + view
        return self.values[self.offsets[sequence] : self.offsets[sequence + 1]]

    def _require_filled(self, owner: str, part: str, boundaries: IndexArray) -> None:
        empty = np.flatnonzero(np.diff(boundaries) == 0)
        if empty.size:
            problem = f"{owner} {empty[0]} has no {part} ({empty.size} such of {len(boundaries) - 1})"
            raise InputError(f"{problem}; leave recordings out that are shorter than one code")


def _boundaries(lengths: list[int]) -> IndexArray:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
