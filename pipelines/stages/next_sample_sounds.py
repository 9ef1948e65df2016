"""Sounds that language models of samples generate: from silence, and after the beginnings of test clips."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lm.samples.model import SampleLanguageModel
from pipelines.stages.options import SampleSoundsConfig
from pipelines.stages.playback import PLAYED
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from vocoder.continuing import joined_sound
from vocoder.engines.choice import choose_engine, precision
from vocoder.judging.metrics import sound_levels
from vocoder.sampling import Sampling
from wordless.audio.excerpts import read_loudest
from wordless.audio.recordings.manifest import Clip, Manifest, audio_hash
from wordless.audio.recordings.selection import choose_randomly
from wordless.audio.waveform import Waveform
from wordless.base.seeds import sound_seed

SAMPLE_SOUNDS = "sounds.json"
ORIGINAL = "original"  # the recording that models continue


def generate_sample_sounds(
    session: Session,
    manifest: Manifest,
    models: Sequence[tuple[str, Entry]],
    config: SampleSoundsConfig,
    *,
    sample_rate: int,
) -> Entry:
    """Make WAV files of every model, and the prompts that they continue; ``sounds.json`` has a row for each file."""
    clips = choose_randomly(manifest.of("test"), config.prompts, seed=config.seed)
    engine = choose_engine(config.engine, session.gang.device.type).engine
    options = {name: value for name, value in asdict(config).items() if name != "engine"}
    recipe = Recipe(
        "next_sample_sounds",
        3,
        config={**options, "sample_rate": sample_rate, "precision": precision(engine)},
        inputs={**{name: entry.key for name, entry in models}, "manifest": audio_hash(manifest, PLAYED)},
    )

    def make(folder: Path) -> None:
        excerpts = [_excerpt(manifest, clip, sample_rate, config.prompt_seconds) for clip in clips]
        rows = [_write(folder, ORIGINAL, sound, clip=number) for number, sound in enumerate(excerpts)]
        for name, entry in models:
            prompts = [(clip.name, _first_half(each)) for clip, each in zip(clips, excerpts, strict=True)]
            rows += _generate(session, folder, name, entry, prompts, config)
        # Without labels and groups, which can change while the sound stays: the results take them from the manifest.
        write_json(folder / SAMPLE_SOUNDS, {"sounds": rows, "clips": [{"path": clip.name} for clip in clips]})

    title = f"{config.seconds:g} s of sound by each of {len(models)} models"
    return session.obtain(recipe, title, make, files=["*.wav", SAMPLE_SOUNDS])


def _excerpt(manifest: Manifest, clip: Clip, sample_rate: int, prompt_seconds: float) -> Waveform:
    """Return the loudest part of a clip that is twice as long as a prompt, or all of a shorter clip."""
    path, step = manifest.root / clip.path, max(sample_rate // 100, 1)
    return read_loudest(path, sample_rate, 2 * prompt_seconds, step=step, part=clip.part).waveform


def _first_half(sound: Waveform) -> Waveform:
    samples = sound.samples[: max(len(sound.samples) // 2, 1)]
    return Waveform(samples=samples, sample_rate=sound.sample_rate)


def _generate(
    session: Session,
    folder: Path,
    name: str,
    entry: Entry,
    prompts: Sequence[tuple[str, Waveform]],
    config: SampleSoundsConfig,
) -> list[dict[str, object]]:
    """Generate a model's sounds side by side, write them, and describe them; prompts come with their clips' names."""
    model = SampleLanguageModel.from_pretrained(entry.folder, device=str(session.gang.device))
    wanted: list[Waveform | None] = [*[None] * config.unprompted, *(prompt for _, prompt in prompts)]
    of = [*(f"unprompted {number}" for number in range(config.unprompted)), *(clip for clip, _ in prompts)]
    seeds = [sound_seed(config.seed, each) for each in of]
    sampling = Sampling(temperature=config.temperature, seed=config.seed, engine=config.engine)
    with session.terminal.working(f"sounds of {name}", 1, "samples") as progress:
        made = model.generate(
            wanted, seconds=config.seconds, sampling=sampling, seeds=seeds, progress=progress.advance_to
        )
    rows = []
    for number, (prompt, more) in enumerate(zip(wanted, made, strict=True)):
        clip = None if prompt is None else number - config.unprompted
        rows.append(_write(folder, name, more, prompt=prompt, clip=clip, number=number))
    return rows


def _write(
    folder: Path, of: str, sound: Waveform, *, clip: int | None, prompt: Waveform | None = None, number: int = 0
) -> dict[str, object]:
    """Write a sound behind its prompt, and describe it; the figures are those of the sound without the prompt."""
    file = f"{of}_{number}.wav" if clip is None else f"{of}_clip_{clip}.wav"
    (joined_sound(prompt, sound) if prompt else sound).write(folder / file)
    begin = {"prompt_seconds": prompt.seconds} if prompt else {}
    return {"of": of, "file": file, "clip": clip, "figures": {**begin, **asdict(sound_levels(sound))}}
