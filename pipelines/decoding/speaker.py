"""Codes -> sound by the vocoder that a command chose."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audio.spectrogram import SpectrogramConfig
from audio.waveform import Waveform
from foundation.errors import InputError
from pipelines.store.run_folder import Synthesis, vocoder_of
from tokenizer.codes import Codes
from tokenizer.tokenizer import Tokenizer
from vocoder.engines.choice import EngineChoice
from vocoder.postfilter import in_force
from vocoder.unlearned import griffin_lim
from vocoder.vocoder import Vocoder

NAMED = 5  # groups that a notice names

Advance = Callable[[float], None]  # seconds of sound done


@dataclass(frozen=True, kw_only=True, eq=False)
class Speaker:
    """A tokenizer, which says what codes mean, and what makes them sound."""

    tokenizer: Tokenizer
    vocoder: Vocoder | None  # None: Griffin-Lim, which learns nothing
    group: str | None  # for all clips; None: each clip's own, where the vocoder heard it in training
    temperature: float
    seed: int
    top_p: float = 1.0

    def side_by_side(self, codes: Sequence[Codes]) -> list[list[int]]:
        """Places of clips that are best made together, shortest first."""
        lengths = [len(clip.values) for clip in codes]
        if self.vocoder is None:
            return [[clip] for clip in sorted(range(len(codes)), key=lambda clip: lengths[clip])]
        return self.vocoder.side_by_side(lengths)

    def unheard(self, groups: Iterable[str | None]) -> str | None:
        """What to tell before clips of some groups sound: whose voices the vocoder never heard; None: nothing."""
        known = () if self.vocoder is None else self.vocoder.model.config.groups
        asked = set(groups)
        if self.group is not None or not known or not asked:
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

    def stream(self, codes: Codes, group: str | None) -> Iterator[Waveform]:
        """The sound that `say` gives for one clip, piece by piece as it is made, in memory that does not grow."""
        if self.vocoder is None:
            for piece in griffin_lim.stream(codes, self.tokenizer, seed=self.seed):
                yield Waveform(samples=piece.numpy(), sample_rate=codes.format.sample_rate)
            return
        yield from self.vocoder.stream(
            [codes],
            self.tokenizer,
            group=self._group(group),
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
        )

    def say(self, codes: Sequence[Codes], groups: Sequence[str | None], advance: Advance) -> list[Waveform]:
        """The sounds of several clips, side by side; on the CPU a clip's sound does not depend on its company."""
        total = sum(clip.seconds for clip in codes)
        if self.vocoder is None:
            return self._griffin_lim(codes, advance)
        return self.vocoder.decode_batch(
            codes,
            self.tokenizer,
            groups=[self._group(group) for group in groups],
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            progress=lambda done, steps: advance(total * done / max(steps, 1)),
        )

    def _griffin_lim(self, codes: Sequence[Codes], advance: Advance) -> list[Waveform]:
        sounds, done = [], 0.0
        for clip in codes:
            sounds.append(griffin_lim.decode(clip, self.tokenizer, seed=self.seed))
            done += clip.seconds
            advance(done)
        return sounds

    def _group(self, own: str | None) -> str | None:
        known = () if self.vocoder is None else self.vocoder.model.config.groups
        return self.group or (own if own in known else None)


def _some(groups: Sequence[str]) -> str:
    """A few of their names, and how many more there are."""
    more = f" and {len(groups) - NAMED} more" if len(groups) > NAMED else ""
    return ", ".join(groups[:NAMED]) + more


def speaker(
    model: Path,
    tokenizer: Tokenizer,
    kind: Synthesis,
    *,
    device: str,
    group: str | None,
    temperature: float,
    seed: int,
    top_p: float = 1.0,
    engine: EngineChoice = "auto",
    postfilter: float = 1.0,
) -> Speaker:
    """The chosen vocoder of a run.

    Raises:
        InputError: the run has none, or it never heard the group.
    """
    folder = vocoder_of(model, kind)
    vocoder = (
        None if folder is None else Vocoder.from_pretrained(folder, device=device, engine=engine, postfilter=postfilter)
    )
    if vocoder is not None:
        try:  # before the codes are read or drawn, which takes its time
            vocoder.require_tokenizer(tokenizer)
        except InputError as error:
            raise InputError(f"model={model}: {error}") from error
        vocoder.group_index(group)
    elif group is not None:
        raise InputError(f"group={group}, but Griffin-Lim knows no groups; leave it out, or choose synthesis=wavenet")
    return Speaker(tokenizer=tokenizer, vocoder=vocoder, group=group, temperature=temperature, seed=seed, top_p=top_p)


@contextmanager
def speaking(vocoder: Vocoder | None, front_end: SpectrogramConfig, say: Callable[[str], None]) -> Iterator[None]:
    """Say what a vocoder has to do without before it speaks, and how many blocks it drew again afterwards."""
    if vocoder is not None and (notice := vocoder.chosen.notice):
        say(notice)
    if vocoder is not None and (notice := _unfiltered(vocoder, front_end)):
        say(notice)
    yield
    if vocoder is not None and vocoder.guard is not None and (found := vocoder.guard.notice()):
        say(found)


def _unfiltered(vocoder: Vocoder, audio: SpectrogramConfig) -> str | None:
    """Why sound is not filtered although that was asked for; None: it is, or was not."""
    if not vocoder.postfilter or in_force(vocoder.postfilter, audio):
        return None
    reasons = {
        f"audio.remove_mean={audio.remove_mean} takes each mel band's mean off": audio.remove_mean != "none",
        f"audio.dynamic_range={audio.dynamic_range} hides what is soft": audio.dynamic_range is not None,
    }
    because = " and ".join(reason for reason, given in reasons.items() if given)
    return (
        f"the post-filter stays off: {because} before the codes, which then do not say how loud a band is to be; "
        "WaveNet's sound stays as it is"
    )


def missing_mean(front_end: SpectrogramConfig, *, by: str = "Griffin-Lim") -> str | None:
    """What the sound lacks that ``by``, which learns nothing, makes of codes without a mean; None: nothing."""
    removal = front_end.remove_mean
    if removal == "none":
        return None
    return (
        f"audio.remove_mean={removal} took each mel band's mean off before the codes, and nothing puts it back: sound "
        f"by {by} has another loudness and colour than the recording"
    )
