"""What turns codes into sound: one protocol, which WaveNet and the vocoders that learn nothing implement."""

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
    """One kind of sound, with the tokenizer that says what codes mean and the options of its sampling."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups whose voices it knows."""

    @property
    def guard(self) -> RunawayGuard | None:
        """What counts blocks of sound that ran away; None where nothing draws them again."""

    def side_by_side(self, lengths: Sequence[int]) -> list[list[int]]:
        """Places of clips of these lengths, in codes, that are best made together; the shortest first."""

    def sounds(
        self,
        codes: Sequence[Codes],
        groups: Sequence[str | None],
        *,
        prompts: Sequence[Prompt | None] | None = None,
        progress: Progress | None = None,
    ) -> list[Waveform]:
        """The sound of each clip; on the CPU it does not depend on the other clips.

        Args:
            codes: of each clip; after a prompt, the new codes alone.
            groups: each clip's own group; a group that is unknown sounds like the average.
            prompts: what each clip continues, which the sound leaves out; None: nothing.
            progress: called with the steps done and the steps in all.

        Raises:
            InputError: codes and tokenizer do not belong together.
        """

    def stream(self, codes: Codes, group: str | None) -> Iterator[Waveform]:
        """The sound that `sounds` gives for one clip, piece by piece as it is made, in memory that does not grow."""

    def notices(self) -> Iterator[str]:
        """What to tell before it makes sound, such as which option has no effect here."""


@contextmanager
def speaking(syntheses: Sequence[Synthesis], say: Callable[[str], None]) -> Iterator[None]:
    """Tell notices before sound is made, and afterwards how many blocks were drawn again."""
    for synthesis in syntheses:
        for notice in synthesis.notices():
            say(notice)
    yield
    for synthesis in syntheses:
        if synthesis.guard is not None and (found := synthesis.guard.notice()):
            say(found)


def unknown_groups(synthesis: Synthesis, groups: Iterable[str | None]) -> str | None:
    """What to tell before clips of some groups sound: whose voices the vocoder does not know; None: nothing."""
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
    """The first of some groups, and how many more there are."""
    more = f" and {len(groups) - NAMED} more" if len(groups) > NAMED else ""
    return ", ".join(groups[:NAMED]) + more
