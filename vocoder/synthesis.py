"""The protocol of decoding codes to sound, which WaveNet and the vocoders without learning implement."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from audio.waveform import Waveform
from tokenizer.codes import Codes
from vocoder.continuing import Prompt
from vocoder.generation import Progress
from vocoder.runaway import RunawayGuard

NAMED = 5  # groups that a notice names


class Synthesis(Protocol):
    """One kind of sound, with its tokenizer and its sampling options."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups whose voices it can use."""

    @property
    def guard(self) -> RunawayGuard | None:
        """Counter of runaway blocks; None if blocks are never drawn again."""

    def side_by_side(self, lengths: Sequence[int]) -> list[list[int]]:
        """Group clips of these lengths, in codes, that are best made together; the shortest first."""

    def sounds(
        self,
        codes: Sequence[Codes],
        groups: Sequence[str | None],
        *,
        prompts: Sequence[Prompt | None] | None = None,
        progress: Progress | None = None,
    ) -> list[Waveform]:
        """Decode each clip to sound; on the CPU the sound does not depend on the other clips.

        Args:
            codes: of each clip; after a prompt, the new codes alone.
            groups: each clip's own group; a group that is unknown sounds like the average.
            prompts: what each clip continues, which the sound leaves out; None: nothing.
            progress: called with the steps done and the steps in all.

        Raises:
            InputError: codes and tokenizer do not belong together.
        """

    def stream(self, codes: Codes, group: str | None) -> Iterator[Waveform]:
        """Decode one clip as `sounds` does, piece by piece, in constant memory."""

    def notices(self) -> Iterator[str]:
        """Give notices to print before decoding, such as an option without effect."""


@contextmanager
def speaking(syntheses: Sequence[Synthesis], say: Callable[[str], None]) -> Iterator[None]:
    """Print notices before decoding, and afterwards the number of blocks that were drawn again."""
    for synthesis in syntheses:
        for notice in synthesis.notices():
            say(notice)
    yield
    for synthesis in syntheses:
        if synthesis.guard is not None and (found := synthesis.guard.notice()):
            say(found)


def unknown_groups(synthesis: Synthesis, groups: Iterable[str | None]) -> str | None:
    """Write a notice about groups that the vocoder was not trained on; None if there are none."""
    known, asked = synthesis.groups, set(groups)
    if not known or not asked:
        return None
    if asked == {None}:
        return (
            "the codes name no group: the average of the vocoder's voices speaks; "
            f"group=... chooses one of {_some(known)}"
        )
    strange = sorted(group for group in asked if group is not None and group not in known)
    if not strange:
        return None
    return f"the vocoder was not trained on {_some(strange)}: the average of its voices speaks instead"


def _some(groups: Sequence[str]) -> str:
    """List the first few groups, and the number of others."""
    more = f" and {len(groups) - NAMED} more" if len(groups) > NAMED else ""
    return ", ".join(groups[:NAMED]) + more
