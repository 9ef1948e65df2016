"""The vocoder as an artifact: saving, loading, decoding of codes to sound, and sounds that continue a recording.

The path of one sound::

    codes --equal blocks--> frames --generation--> levels --mu-law--> samples --post-filter--> sound
                  └------------------- target log-mel --------------------^
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tokenizer.codes import CodeDecoder, Codes, CodesFormat, require_codes, require_same_codebook, require_sound
from vocoder.engines import Chosen, choose_engine
from vocoder.filters import PostFilter, VoiceHead, create_filter
from vocoder.frames import CodePart, frames_of, log_mel_of, parts_of, pitch_of
from vocoder.generation import (
    CHUNK_FRAMES,
    Generation,
    GenerationInput,
    LoudnessRange,
    RunawayGuard,
    SampleProgress,
    generate,
)
from vocoder.vocoder_options import TEMPERATURE, EngineChoice, Sampling, SoundOptions, WaveNetConfig
from vocoder.wavenet import UNKNOWN_GROUP, WaveNet, mu_law_decode, mu_law_encode, vocoder_card
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.levels import Excerpt, block_energies, half_energy
from wordless.audio.pitch_contour import resolves_pitch
from wordless.audio.reading import Samples, as_waveform, resampled
from wordless.audio.waveform import Waveform, skip_samples
from wordless.base.arrays import IntArray
from wordless.base.devices import require_device
from wordless.base.messages import InputError, require
from wordless.base.saved_models import VOCODER, load_network, model_folder, reading, write_model

Sound = Waveform | Samples  # of a prompt
SEMITONES_PER_OCTAVE = 12.0


class Coder(Protocol):
    """A tokenizer, of one rate or of several."""

    @property
    def format(self) -> CodesFormat:
        """The format of its codes."""

    def encode(self, waveform: Waveform, /) -> Codes:
        """Encode a waveform at the codes' rate."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prompt:
    """The end of a recording, and the codes that stand for it; a vocoder generates the sound after it.

    ::

        recording      [.....................][ end ]
        codes                                 [ end ][ codes of the language model ]
        vocoder                               hears  | says
        result         [.....................][ end ][ new sound                         ]
    """

    waveform: Waveform  # at the codes' rate, codes.num_samples long
    codes: Codes
    # the codes, and those around them on which their log-mel depends; None: the codes alone
    part: CodePart | None = None

    def crop(self, start: int, stop: int, *, reach: int = 0) -> Prompt:
        """Return time steps ``[start, stop)``, whose log-mel depends on ``reach`` codes on either side."""
        codes, first = self.codes.crop(start, stop), start * self.codes.format.samples_per_code
        samples = self.waveform.samples[first : first + codes.num_samples]
        begin, end = max(start - reach, 0), min(stop + reach, len(self.codes))
        part = CodePart(values=self.codes.values[begin:end], before=start - begin, after=end - stop)
        return Prompt(waveform=replace(self.waveform, samples=samples), codes=codes, part=part)

    def last_codes(self, count: int) -> IntArray:
        """Return the last codes ``(count, streams)``, also of before the prompt; fewer at the recording's begin."""
        values = self.codes.values
        if self.part is not None:
            values = self.part.values[: len(self.part.values) - self.part.after]
        return values[max(len(values) - count, 0) :]

    @classmethod
    def alone(cls, waveform: Waveform, coder: Coder, start: int, stop: int) -> Prompt:
        """Return time steps ``[start, stop)`` encoded alone: other codes may know the sound that a model invents."""
        step = coder.format.samples_per_code
        prompt = replace(waveform, samples=waveform.samples[start * step : stop * step])
        return cls(waveform=prompt, codes=coder.encode(prompt))

    @classmethod
    def of_excerpt(cls, excerpt: Excerpt, coder: Coder, *, least_seconds: float = 0.0) -> Prompt:
        """Return half of an excerpt, in whole codes, at least one, as the prompt of the language model.

        For a whole clip this is the first half. The first half of an excerpt from a longer clip may be silent, so there
        the prompt ends where half of the excerpt's energy has passed. A prompt shorter than ``least_seconds`` grows to
        this length, but to three quarters of the excerpt at most.
        """
        step, rate = coder.format.samples_per_code, excerpt.waveform.sample_rate
        steps = len(excerpt.waveform.samples) // step
        length = max(steps // 2, min(math.ceil(least_seconds * rate / step), steps * 3 // 4), 1)
        start = 0
        if not excerpt.whole:
            samples = excerpt.waveform.samples
            _, energies = block_energies([samples - samples.mean()], step)  # a constant offset is no sound
            start = min(max(half_energy(energies) + 1 - length, 0), max(steps - length, 0))
        return cls.alone(excerpt.waveform, coder, start, start + length)


def joined_sound(prompt: Waveform, more: Waveform) -> Waveform:
    return replace(more, samples=np.concatenate([prompt.samples, more.samples]))


def after(pieces: Iterable[Waveform], prompt: Waveform) -> Iterator[Waveform]:
    """Give a sound that arrives in pieces without its beginning, which is as long as a prompt."""
    for samples in skip_samples((piece.samples for piece in pieces), len(prompt.samples)):
        yield replace(prompt, samples=samples)


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodingInput:
    """Codes that become one sound, with its group, seed and recorded beginning."""

    codes: Codes
    group: str | None = None  # one of the training groups; None: their average
    seed: int = 0  # `wordless.base.seeds.sound_seed` derives it from a clip's name
    prompt: Sound | None = None  # recorded beginning of the sound, as of `Vocoder.continue_from`
    before: Prompt | None = None  # the recording before that, whose sound the pitch comb alone reads


class Rendering:
    """One sound; target frames go to its post-filter as the codes pass.

    ``shift`` is in semitones. ``prompt`` is the recorded beginning of the sound. The recording ``before`` it, in whole
    codes, is read by the filter's comb alone, but for the codes on which the log-mel of the first codes depends.
    """

    def __init__(
        self, vocoder: Vocoder, tokenizer: CodeDecoder, *, shift: float, prompt: Sound | None, before: Prompt | None
    ) -> None:
        self.tokenizer, self.shift = tokenizer, shift / SEMITONES_PER_OCTAVE
        self.config = config = vocoder.model.config
        self.prompt = None if prompt is None else _levels(prompt_waveform(prompt, config.sample_rate), config)
        untouched = 0 if self.prompt is None else len(self.prompt)
        self.filter = vocoder.filter(tokenizer, prompt=untouched)
        if before is not None and self.filter is not None and self.filter.comb is not None:
            heard = mu_law_decode(_levels(before.waveform, config), levels=config.levels)
            part = before.part or CodePart(values=before.codes.values)
            self.filter.comb.hear(heard, log_mel_of(part, tokenizer), pitch_of(part.inner, tokenizer))
        self.behind = None if before is None else before.last_codes(tokenizer.reach)  # the first codes depend on them
        self.num_samples = 0  # of all codes so far

    def frames(self, blocks: Iterable[Codes]) -> Iterator[Tensor]:
        """Give the network's conditions ``(frames, inputs)``, block by block."""
        # Products of other shapes round differently, so results do not depend on the blocks.
        values = (block.values for block in self._counted(blocks))
        for part in parts_of(values, self.tokenizer, behind=self.behind):
            if self.filter is not None:
                pitch = pitch_of(part.inner, self.tokenizer)
                self.filter.expect(log_mel_of(part, self.tokenizer), None if pitch is None else pitch + self.shift)
            yield frames_of(part, self.tokenizer, self.config, shift=self.shift)

    def samples(self, levels: Iterable[Tensor]) -> Iterator[Tensor]:
        """Give samples ``(time,)`` of levels in whole frames, up to the sound's end, when the filter returns them."""
        made = 0
        for samples in self._filtered(levels):
            yield samples[: max(self.num_samples - made, 0)]
            made += len(samples)

    def _counted(self, blocks: Iterable[Codes]) -> Iterator[Codes]:
        for block in blocks:
            if self.num_samples % block.format.samples_per_code:
                raise InputError(
                    f"a block of codes ends at sample {self.num_samples}, within a code of "
                    f"{block.format.samples_per_code}, and another follows; only the last block may"
                )
            self.num_samples += block.num_samples
            yield block

    def _filtered(self, levels: Iterable[Tensor]) -> Iterator[Tensor]:
        for each in levels:
            samples = mu_law_decode(each, levels=self.config.levels)
            yield samples if self.filter is None else self.filter.filter(samples)
        if self.filter is not None:
            yield self.filter.finish()


def prompt_waveform(prompt: Sound, own_rate: int, sample_rate: int | None = None) -> Waveform:
    """Return a prompt as a waveform; samples without a ``sample_rate`` have the vocoder's own."""
    require_sound(prompt, "prompt")
    known = isinstance(prompt, Waveform) or sample_rate is not None
    return as_waveform(prompt, sample_rate if known else own_rate, name="prompt")


def _levels(prompt: Waveform, config: WaveNetConfig) -> Tensor:
    if prompt.sample_rate != config.sample_rate:
        raise InputError(
            f"the prompt is at {prompt.sample_rate} Hz, the vocoder at {config.sample_rate} Hz: read the prompt at "
            f"the latter rate, such as wordless.read(path, {config.sample_rate})"
        )
    return mu_law_encode(torch.from_numpy(prompt.samples), levels=config.levels)


SAMPLING = Sampling()
NO_GROUPS = (
    "it has one voice, since it was trained without groups: give none, or train one (vocoder.fit.steps above 0) on a "
    "corpus whose groups are named (corpus.pattern with {group}, or corpus.table)"
)


@dataclass(frozen=True, kw_only=True)
class SavedVocoder:
    """The content of ``config.json``."""

    tokenizer: str = ""  # fingerprint; empty: of none, but start weights for all tokenizers of the front end log_mel
    log_mel: SpectrogramConfig | None = None  # of start weights, which read it as it is, without normalisation
    wavenet: WaveNetConfig
    loudness: LoudnessRange | None = None  # of start weights: they are loud and soft
    voice: VoiceHead | None = None
    began_at: str | None = None
    steps: int | None = None
    weights_sha256: str

    def __post_init__(self) -> None:
        if self.voice is not None:
            inputs, rate = 1 + 2 * self.wavenet.n_mels, self.wavenet.sample_rate
            fits = len(self.voice.voicing) == len(self.voice.octaves) == inputs and resolves_pitch(rate)
            rule = f"its lists must have {inputs} numbers, a constant and two for each mel band, at a rate with a pitch"
            require(fits, "voice", f"of other sizes than wavenet, at {rate} Hz", rule)
        if self.log_mel is None:
            require(bool(self.tokenizer), "tokenizer", "missing", "it is the fingerprint of the vocoder's tokenizer")
            return
        sizes = ("sample_rate", "hop_length", "n_mels")
        wrong = [name for name in sizes if getattr(self.log_mel, name) != getattr(self.wavenet, name)]
        require(not wrong, "log_mel", f"of another {' and '.join(wrong)} than wavenet", "they must be equal")


class Vocoder:
    """Decoder of codes to sound. A vocoder belongs to one tokenizer, and works with every codebook of it.

    Args:
        model: the trained network.
        tokenizer: fingerprint of the front end and autoencoder that it was trained with, `CodesFormat.tokenizer`;
            empty: start weights, for all tokenizers of a front end.
        options: the engine and the filter of its sound.
        loudness: of its training recordings; None: unknown, and runaway sound is not drawn again.
        voice: predicts voicing and pitch from codes, for the post-filter's pitch comb; None: no comb, as for training
            recordings without a voice, unless the codes have a stream of pitch.
        began_at: SHA-256 of the weights that training began with; None: random weights.
        steps: of training, from the weights that it began with; None: unknown.
    """

    def __init__(
        self,
        model: WaveNet,
        tokenizer: str,
        *,
        options: SoundOptions = SAMPLING,
        loudness: LoudnessRange | None = None,
        voice: VoiceHead | None = None,
        began_at: str | None = None,
        steps: int | None = None,
    ) -> None:
        self.model = model.eval()
        self.tokenizer, self.options, self.voice = tokenizer, options, voice
        self.began_at, self.steps = began_at, steps
        self.guard = None if loudness is None else RunawayGuard(loudness)  # counts over all decoded sounds

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        *,
        device: str = "cpu",
        engine: EngineChoice = "auto",
        postfilter: float = 1.0,
        postfilter_passes: int | None = None,
        pitch_comb: bool = True,
    ) -> Vocoder:
        """Load a vocoder that `save_pretrained` wrote from a folder or, as ``user/name``, from the Hugging Face hub.

        For the other options see `vocoder.vocoder_options.SoundOptions`.
        """
        options = SoundOptions(
            engine=engine, postfilter=postfilter, postfilter_passes=postfilter_passes, pitch_comb=pitch_comb
        )
        folder = model_folder(folder, VOCODER)
        with reading(folder, VOCODER, SavedVocoder) as saved:
            model = load_network(partial(WaveNet, saved.wavenet), folder, saved.weights_sha256)
        return cls(
            model.to(require_device(device)),
            saved.tokenizer,
            options=options,
            loudness=saved.loudness,
            voice=saved.voice,
            began_at=saved.began_at,
            steps=saved.steps,
        )

    def save_pretrained(self, folder: Path | str) -> None:
        """Write `model.safetensors`, a model card and, last, `config.json`: a folder with a config is complete."""
        known = {"began_at": self.began_at, "steps": self.steps}
        config = {
            "tokenizer": self.tokenizer,
            "wavenet": asdict(self.model.config),
            "loudness": None if self.guard is None else asdict(self.guard.loudness),
            "voice": None if self.voice is None else asdict(self.voice),
            **{name: value for name, value in known.items() if value is not None},
        }
        card = vocoder_card(
            self.model, self.tokenizer, began_at=self.began_at, steps=self.steps, comb=self.voice is not None
        )
        write_model(Path(folder).expanduser(), self.model, config, card=card)

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz of the sound."""
        return self.model.config.sample_rate

    @property
    def chosen(self) -> Chosen:
        """The engine in use, and a notice if another one was requested."""
        return choose_engine(self.options.engine, self.model.embedding.weight.device.type)

    def filter(self, tokenizer: CodeDecoder, *, prompt: int = 0) -> PostFilter | None:
        """Return the filter of one sound, as of `create_filter`."""
        reads_pitch = bool(self.model.config.pitch)
        return create_filter(tokenizer, self.options, self.voice, prompt=prompt, reads_pitch=reads_pitch)

    def combed(self, tokenizer: CodeDecoder) -> bool:
        """Return whether a pitch comb follows the network."""
        own = self.filter(tokenizer)
        return own is not None and own.comb is not None

    def decode(
        self,
        codes: Codes,
        tokenizer: CodeDecoder,
        *,
        group: str | None = None,
        temperature: float = TEMPERATURE,
        seed: int = 0,
        progress: SampleProgress | None = None,
    ) -> Waveform:
        """Decode codes to sound, ``codes.num_samples`` long.

        Args:
            codes: from any codebook of the vocoder's tokenizer.
            tokenizer: decodes the codes to log-mel.
            group: one of the training groups; None: their average.
            temperature: 1 is the model's distribution, less is safer and duller, 0 takes the most probable level.
            seed: the same seed gives the same sound.
            progress: called with the steps done and the steps in all.

        Raises:
            InputError: codes, tokenizer and vocoder do not belong together, or the group is unknown.
        """
        clip = DecodingInput(codes=codes, group=group, seed=seed)
        sampling = Sampling(temperature=temperature, seed=seed)
        return self.decode_batch([clip], tokenizer, sampling, progress=progress)[0]

    def decode_batch(
        self,
        clips: Sequence[DecodingInput],
        tokenizer: CodeDecoder,
        sampling: Sampling = SAMPLING,
        *,
        progress: SampleProgress | None = None,
    ) -> list[Waveform]:
        """Decode several clips; on the CPU each sounds as `decode` with its group and seed decodes it alone.

        ``sampling`` gives the temperature and the shift; for the other arguments and errors see `decode`.
        """
        renderings, inputs = list[Rendering](), list[GenerationInput]()
        for clip in clips:
            own = Rendering(self, tokenizer, shift=sampling.shift, prompt=clip.prompt, before=clip.before)
            frames = torch.cat([*own.frames(self._belonging([clip.codes], tokenizer)), self._no_frames])
            group = self.group_index(clip.group)
            inputs.append(GenerationInput(spectrogram=frames, group=group, seed=clip.seed, prompt=own.prompt))
            renderings.append(own)
        levels = generate(
            self.model,
            inputs,
            sampling=replace(sampling, pitch_comb=self.combed(tokenizer)),
            engine=self.options.engine,
            guard=self.guard,
            progress=progress,
        )
        chunk = CHUNK_FRAMES * self.model.config.hop_length  # the pieces of a stream
        return [
            self._waveform(torch.cat([*rendering.samples(torch.split(each, chunk))]))
            for rendering, each in zip(renderings, levels, strict=True)
        ]

    def continue_from(
        self,
        waveform: Sound,
        codes: Codes,
        tokenizer: CodeDecoder,
        *,
        sample_rate: int | None = None,
        group: str | None = None,
        temperature: float = TEMPERATURE,
        seed: int = 0,
        progress: SampleProgress | None = None,
    ) -> Waveform:
        """Continue a sound without a click: the network's past is the sound itself.

        Args:
            waveform: the sound to continue: a `Waveform` at the vocoder's rate, or samples as `wordless.audio.reading`
                takes them.
            codes: of that sound and of its continuation, as one (`tokenizer.codes.join_codes`).
            sample_rate: of the samples, in Hz: they are resampled as `Tokenizer.encode` resamples them. None: the
                vocoder's.

        For the other arguments see `decode`.

        Returns:
            The new sound alone, ``codes.num_samples - len(waveform.samples)`` samples at the vocoder's rate.

        Raises:
            InputError: the waveform has another rate, or lasts longer than the codes; and see `decode`.
        """
        own = self.model.config.sample_rate
        recording = prompt_waveform(waveform, own, sample_rate)
        if sample_rate is not None:
            recording = resampled(recording, own)
        clip = DecodingInput(codes=codes, group=group, seed=seed, prompt=recording)
        (whole,) = self.decode_batch([clip], tokenizer, Sampling(temperature=temperature, seed=seed), progress=progress)
        return replace(whole, samples=whole.samples[len(recording.samples) :])

    def stream(
        self,
        blocks: Iterable[Codes],
        tokenizer: CodeDecoder,
        sampling: Sampling = SAMPLING,
        *,
        prompt: Sound | None = None,
        before: Prompt | None = None,
    ) -> Iterator[Waveform]:
        """Decode codes that arrive in blocks: the sound of `decode` in pieces, in constant memory.

        Args:
            blocks: codes of one sound in order, of any length; all except the last hold whole codes.
            tokenizer: decodes the codes to log-mel.
            sampling: temperature, seed and group; engine and post-filter are those of the vocoder.
            prompt: recorded beginning of the sound, at the vocoder's rate. Unlike in `continue_from`, the result begins
                with it, in the network's mu-law levels.
            before: the recording before the prompt, as of `DecodingInput`.

        Yields:
            The sound of some frames, as soon as these and the look-ahead frames have arrived; with a post-filter, its
            delay later; see `vocoder.filters`.

        Raises:
            InputError: a block ends within a code and another follows; and see `decode`.
        """
        rendering = Rendering(self, tokenizer, shift=sampling.shift, prompt=prompt, before=before)
        group, seed, frames = self.group_index(sampling.group), sampling.seed, self._no_frames
        clip = GenerationInput(spectrogram=frames, group=group, seed=seed, prompt=rendering.prompt)
        sampling = replace(sampling, pitch_comb=self.combed(tokenizer))
        generation = Generation(self.model, [clip], sampling, self.chosen.engine, self.guard)
        levels = generation.levels([rendering.frames(self._belonging(blocks, tokenizer))])
        yield from (self._waveform(samples) for samples in rendering.samples(own for (own,) in levels) if len(samples))

    @property
    def _no_frames(self) -> Tensor:
        """The conditions of a clip without codes, or whose codes are still to come."""
        return torch.zeros(0, self.model.config.condition_inputs, dtype=torch.float32)

    def _belonging(self, blocks: Iterable[Codes], tokenizer: CodeDecoder) -> Iterator[Codes]:
        self.require_tokenizer(tokenizer)
        for codes in blocks:
            require_codes(codes, "codes")
            require_same_codebook(tokenizer.format, codes.format, owner="the tokenizer")
            yield codes

    def require_tokenizer(self, tokenizer: CodeDecoder) -> None:
        """Refuse a tokenizer that this vocoder was not trained with: another fingerprint, rate, or shape of a code."""
        config, audio, given = self.model.config, tokenizer.front_end, tokenizer.format
        if not self.tokenizer:
            raise InputError(
                "these are start weights, which serve no tokenizer before a run converts them to its own: name their "
                "folder in vocoder.start (wordless run)"
            )
        if given.tokenizer != self.tokenizer:
            raise InputError(
                f"the vocoder belongs to tokenizer {self.tokenizer}, and this is {given.tokenizer}: use those of one "
                "run, or train a vocoder for this tokenizer (wordless run)"
            )
        for name, own, wanted in (
            ("samples per second", given.sample_rate, config.sample_rate),
            ("samples per frame", audio.hop_length, config.hop_length),
            ("mel bands", audio.n_mels, config.n_mels),
            ("frames per code", tokenizer.patch_frames, config.patch_frames),  # and with them the samples per code
        ):
            if own != wanted:
                raise InputError(
                    f"the vocoder counts {wanted} {name}, the tokenizer {own}: use the ones of the same run, or copy "
                    "the vocoder's folder again from its run"
                )

    def group_index(self, group: str | None) -> int:
        """Return the index of a training group; -1 for None. The error for an unknown group names similar ones."""
        known = self.model.config.groups
        if group is None:
            return UNKNOWN_GROUP
        if group not in known:
            like = get_close_matches(group, known, cutoff=0.5) or list(known[:5])
            choice = f"choose among {', '.join(like)}, or give none for the average" if known else NO_GROUPS
            raise InputError(f"group is {group!r}, which this vocoder never heard; {choice}")
        return known.index(group)

    def _waveform(self, samples: Tensor) -> Waveform:
        return Waveform(samples=samples.numpy(), sample_rate=self.model.config.sample_rate)
