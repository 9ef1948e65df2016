"""Language models of samples: training on the same crops, scores on the same test crops, and generated sounds."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from lm.samples.crops import BASELINES, SampleClips, SampleCrops, count_pairs, create_baseline, loss, score
from lm.samples.model import SampleLanguageModel, create_sample_model
from pipelines.stages.listening import loudest
from pipelines.stages.options import ModelName, NextSampleSettings, SampleSoundsConfig
from pipelines.stages.stored_arrays import TRAINED_ON, split_samples
from pipelines.store.session import Session
from pipelines.store.store import CURVE, MODEL, Entry, Recipe, some_options, write_json
from vocoder.continuing import joined_sound
from vocoder.engines.choice import choose_engine, precision
from vocoder.judging import sound_levels
from vocoder.options import Sampling
from wordless.audio.recordings.manifest import Clips, Split, audio_hash, choose_randomly
from wordless.audio.waveform import Waveform
from wordless.base.machine import one_thread
from wordless.base.seeds import sound_seed

NEXT_SAMPLE = "next_sample"  # the stage; its entries of models are next_sample_<model>
SCORES = "scores.json"
VALIDATION_BATCHES = 8


def train_sample_model(
    session: Session, waveforms_entry: Entry, settings: NextSampleSettings, name: ModelName
) -> Entry:
    """Train one model on the samples of training clips; the entry is a folder that `SampleLanguageModel` loads."""
    config, fit, stage = settings.config(name), settings.fit, f"{NEXT_SAMPLE}_{name}"
    options = {name: config, **some_options(settings, "crops", "fit")}
    recipe = Recipe(stage, 2, config={NEXT_SAMPLE: options}, inputs={"waveforms": waveforms_entry})

    def make(folder: Path) -> None:
        model = create_sample_model(config, seed=fit.seed)
        train, validation = (
            SampleCrops(stored_samples(waveforms_entry, split), settings.crops, history=config.history)
            for split in TRAINED_ON
        )
        held_out = list(validation.batches(VALIDATION_BATCHES))
        session.train(stage, f"{NEXT_SAMPLE}.fit", model, train, held_out, loss, fit, folder)
        if session.gang.rank == 0:
            SampleLanguageModel(model).save_pretrained(folder)

    return session.obtain(recipe, fit.summary, make, files=[*MODEL, CURVE], together=True)


def score_sample_models(
    session: Session,
    sounds: tuple[Entry, Entry],
    models: Mapping[str, Entry],
    settings: NextSampleSettings,
) -> Entry:
    """Measure models and baselines on the same test crops; ``sounds`` are the waveforms of training and of test clips.

    ``scores.json`` has a row for each, with its sizes.
    """
    training, test = sounds
    crops = replace(settings.crops, seed=settings.test_seed)
    inputs: dict[str, object] = {**models, "waveforms": training, "test waveforms": test}
    options = {"crops": crops, **some_options(settings, "test_crops")}
    recipe = Recipe(f"{NEXT_SAMPLE}_scores", 1, config={NEXT_SAMPLE: options}, inputs=inputs)
    steps = -(-settings.test_crops // crops.batch_size)

    @one_thread()
    def make(folder: Path) -> None:
        clips = stored_samples(test, "test")
        rows: dict[str, dict[str, object]] = {}
        for name, entry in models.items():
            loaded = SampleLanguageModel.from_pretrained(entry.folder, device=str(session.gang.device))
            config = loaded.model.config
            batches = SampleCrops(clips, crops, history=config.history).batches(steps)
            rows[name] = {
                **asdict(score(loaded.model, batches, session.gang.device)),
                "parameters": sum(weights.numel() for weights in loaded.model.parameters()),
                "multiply_adds": config.multiply_adds,
                "history": config.history + 1,
            }
            session.terminal.say(f"  scored {name}")
        counts = count_pairs(stored_samples(training, "train").pieces())
        for kind, parameters in BASELINES.items():
            batches = SampleCrops(clips, crops, history=0).batches(steps)
            found = score(create_baseline(kind, counts).to(session.gang.device), batches, session.gang.device)
            found = replace(found, bits_per_sample=None) if kind == "repeat" else found
            sizes = {"parameters": parameters, "multiply_adds": 0.0, "history": int(kind != "histogram")}
            rows[kind] = {**asdict(found), **sizes}
        write_json(folder / SCORES, {"rows": rows, "crops": steps * crops.batch_size})

    title = f"{len(models)} models and {len(BASELINES)} baselines on {settings.test_crops} test crops"
    return session.obtain(recipe, title, make, files=[SCORES])


def stored_samples(entry: Entry, split: Split) -> SampleClips:
    """Return the samples of a split's clips in an entry of `waveforms`, read in place."""
    samples, offsets = split_samples(entry, split)
    return SampleClips(samples=samples, offsets=offsets)


SAMPLE_SOUNDS = "sounds.json"
ORIGINAL = "original"  # the recording that models continue


def generate_sample_sounds(
    session: Session, manifest: Clips, models: Mapping[str, Entry], config: SampleSoundsConfig, *, sample_rate: int
) -> Entry:
    """Make WAV files of every model, and the prompts that they continue; ``sounds.json`` has a row for each file."""
    clips = choose_randomly(manifest.of("test"), config.prompts, seed=config.seed)
    engine = choose_engine(config.engine, session.gang.device.type).engine
    options = {NEXT_SAMPLE: {"sounds": config}, "audio": {"sample_rate": sample_rate}, "precision": precision(engine)}
    inputs = {**models, "recordings": audio_hash(manifest, ["test"])}
    recipe = Recipe("next_sample_sounds", 3, config=options, inputs=inputs)

    def make(folder: Path) -> None:
        step = max(sample_rate // 100, 1)
        rows: list[dict[str, object]] = []
        prompts: list[Waveform | None] = [None] * config.unprompted
        for number, clip in enumerate(clips):
            sound = loudest(manifest, clip, sample_rate, 2 * config.prompt_seconds, step=step).waveform
            rows.append(_write(folder, ORIGINAL, sound, clip=number))
            half = sound.samples[: max(len(sound.samples) // 2, 1)]
            prompts.append(Waveform(samples=half, sample_rate=sample_rate))
        of = [*(f"unprompted {number}" for number in range(config.unprompted)), *(clip.name for clip in clips)]
        seeds = [sound_seed(config.seed, each) for each in of]
        sampling = Sampling(temperature=config.temperature, seed=config.seed, engine=config.engine)
        for name, entry in models.items():
            model = SampleLanguageModel.from_pretrained(entry.folder, device=str(session.gang.device))
            with session.terminal.working(f"sounds of {name}", 1, "samples") as progress:
                tell = progress.advance_to
                made = model.generate(prompts, seconds=config.seconds, sampling=sampling, seeds=seeds, progress=tell)
            for number, (prompt, more) in enumerate(zip(prompts, made, strict=True)):
                place = None if prompt is None else number - config.unprompted
                rows.append(_write(folder, name, more, prompt=prompt, clip=place, number=number))
        # Without labels and groups, which can change while the sound stays: the results take them from the manifest.
        write_json(folder / SAMPLE_SOUNDS, {"sounds": rows, "clips": [{"path": clip.name} for clip in clips]})

    title = f"{config.seconds:g} s of sound by each of {len(models)} models"
    return session.obtain(recipe, title, make, files=["*.wav", SAMPLE_SOUNDS])


def _write(
    folder: Path, of: str, sound: Waveform, *, clip: int | None, prompt: Waveform | None = None, number: int = 0
) -> dict[str, object]:
    """Write a sound behind its prompt, and describe it; the figures are those of the sound without the prompt."""
    file = f"{of}_{number}.wav" if clip is None else f"{of}_clip_{clip}.wav"
    (joined_sound(prompt, sound) if prompt else sound).write(folder / file)
    begin = {"prompt_seconds": prompt.seconds} if prompt else {}
    return {"of": of, "file": file, "clip": clip, "figures": {**begin, **sound_levels(sound)}}
