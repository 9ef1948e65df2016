"""Playback of test clips: their excerpts, and the sound of their codes, for listening and for figures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pipelines.stages.options import JudgeName, ListeningConfig
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe
from tokenizer.codes import Codes
from tokenizer.tokenizer import Tokenizer
from vocoder.engines.choice import choose_engine, precision
from vocoder.kinds.table import KINDS
from vocoder.postfilter import in_force
from vocoder.sampling import Sampling
from vocoder.synthesis import Synthesis, create_synthesis
from wordless.audio.excerpts import Excerpt, read_loudest
from wordless.audio.options import SpectrogramConfig
from wordless.audio.recordings.manifest import Clip, Manifest, Split, audio_hash
from wordless.audio.recordings.selection import choose_randomly
from wordless.audio.waveform import Waveform

JUDGES: dict[JudgeName, str] = {
    "probe": "a linear probe of log-mel",
    "codes": "a linear probe of the codes of the sound",
    "supervised": "a supervised network",
}
PLAYED: tuple[Split, ...] = ("test",)


@dataclass(frozen=True, kw_only=True)
class Playback:
    """The models that turn test clips into codes and back into sound, and the options of this sound."""

    session: Session
    manifest: Manifest
    tokenizer: Entry
    vocoder: Entry
    audio: SpectrogramConfig
    config: ListeningConfig

    def choose(self, count: int) -> list[Clip]:
        """Choose ``count`` test clips at random."""
        return choose_randomly(self.manifest.of("test"), count, seed=self.config.seed)

    def choose_long(self, count: int) -> list[Clip]:
        """Choose ``count`` test clips at random, long enough for a prompt of `ListeningConfig.prompt_seconds`.

        A prompt takes three quarters of a clip at most. If too few clips are long enough, the longest clips are chosen.
        """
        clips, seed = self.manifest.of("test"), self.config.seed
        long = [clip for clip in clips if 0.75 * clip.seconds >= self.config.prompt_seconds]
        if len(long) >= count:
            return choose_randomly(long, count, seed=seed)
        longest = sorted(clips, key=lambda clip: clip.seconds, reverse=True)[:count]
        return [clip for clip in clips if clip in longest]

    def recipe(
        self, stage: str, version: int, clips: Sequence[Clip], config: Mapping[str, object], **inputs: str
    ) -> Recipe:
        """Return the recipe of a stage that plays ``clips``, with its own ``config`` and ``inputs``.

        The recipe also holds the active post-filter, the engine's precision, the versions of the kinds of sound, and
        the clips' groups.
        """
        engine = choose_engine(self.config.engine, self.session.gang.device.type).engine
        strength = in_force(self.config.postfilter, self.audio)
        filtered = {"postfilter": strength, "postfilter_passes": self.config.postfilter_passes if strength else 0}
        here = {**filtered, "precision": precision(engine)}
        kinds = {kind.key: kind.version for kind in KINDS if kind.version}
        models = {"tokenizer": self.tokenizer.key, "vocoder": self.vocoder.key}
        return Recipe(
            stage,
            version,
            config={**config, **here, **kinds, "groups": [clip.group for clip in clips]},
            inputs={**models, "manifest": audio_hash(self.manifest, PLAYED), **inputs},
        )

    def open(self) -> tuple[Tokenizer, dict[str, Synthesis]]:
        """Load the tokenizer and the synthesis of each kind of sound, on this run's device."""
        device, own = str(self.session.gang.device), self.config
        tokenizer = Tokenizer.from_pretrained(self.tokenizer.folder, device=device)
        sampling = Sampling(
            temperature=own.vocoder_temperature,
            seed=own.seed,
            postfilter=own.postfilter,
            postfilter_passes=own.postfilter_passes,
            engine=own.engine,
        )
        folder = self.vocoder.folder
        create = partial(create_synthesis, tokenizer=tokenizer, sampling=sampling, folder=folder, device=device)
        return tokenizer, {kind.key: create(kind) for kind in KINDS}

    def excerpt(self, clip: Clip, tokenizer: Tokenizer) -> Excerpt:
        """Read the excerpt of a clip: its loudest ``config.seconds``, or all of a shorter one.

        It begins where a code of the clip begins. The excerpt is encoded like a separate clip, so a front end that
        measures whole recordings measures the excerpt, as it does when decoded sound is encoded again.
        """
        path, step = self.manifest.root / clip.path, tokenizer.format.samples_per_code
        return read_loudest(path, tokenizer.format.sample_rate, self.config.seconds, step=step, part=clip.part)

    def speak(
        self, syntheses: Mapping[str, Synthesis], clips: Sequence[Clip], codes: Sequence[Codes], *, title: str
    ) -> Iterator[tuple[str, list[Waveform]]]:
        """Decode the clips' codes to each kind of sound, one kind after the other."""
        for kind, synthesis in syntheses.items():
            with self.session.terminal.working(title, 1, "samples") as progress:
                groups, names = [clip.group for clip in clips], [clip.name for clip in clips]
                sounds = synthesis.sounds(codes, groups, names=names, progress=progress.advance_to)
            yield kind, sounds


def excerpt_row(clip: Clip, excerpt: Excerpt) -> dict[str, object]:
    """Describe an excerpt: its clip, its start in the clip, and the lengths of excerpt and clip in seconds."""
    seconds = {"seconds": excerpt.waveform.seconds, "clip_seconds": clip.seconds}
    return {"path": clip.name, "start": excerpt.start_seconds, **seconds}
