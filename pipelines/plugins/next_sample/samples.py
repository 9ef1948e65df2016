"""Language models of samples: training and scores on the same crops, sounds, speed, and their part of the report."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lm.probing import intervals
from lm.samples.sample_model import (
    BASELINES,
    SampleCrops,
    SampleLanguageModel,
    count_pairs,
    create_baseline,
    create_sample_model,
    loss,
    multiply_adds,
    score,
)
from lm.samples.sample_network_options import SampleCropsConfig, SampleWaveNetConfig, TransformerConfig
from pipelines.chain.trial import Trial
from pipelines.pages.charts import Chart
from pipelines.pages.phrasing import heading
from pipelines.pages.players import PageSound, clip_title, sound_spectrograms, sounds_among
from pipelines.pages.training_chart import training_chart
from pipelines.plugins.next_sample import SOUNDS, NextSampleSettings, SampleSoundsConfig
from pipelines.results.run_record import Made, Results, Row, Section, section_of
from pipelines.settings.run_settings import RunSettings
from pipelines.stages.listening import loudest_clip
from pipelines.stages.stored_arrays import TRAINED_ON, split_samples, test_waveforms, waveforms
from pipelines.store.stage import Session, StageRun, stage
from pipelines.store.store import CURVE, CachedArtifact, write_json
from vocoder.engines import choose_engine, precision
from vocoder.kinds import ORIGINAL
from vocoder.measures import sound_levels
from vocoder.vocoder import joined_sound
from vocoder.vocoder_options import Sampling
from wordless.audio.recordings.manifest import Clips, choose_randomly
from wordless.audio.waveform import Waveform
from wordless.base.devices import choose_device
from wordless.base.seeds import sound_seed
from wordless.base.threads import one_thread
from wordless.training import Examples, FitConfig

NEXT_SAMPLE = "next_sample"  # the stage; its artifacts of models are next_sample_<model>
_SCORES, SAMPLE_SOUNDS = "scores.json", "sounds.json"
LONG_ENOUGH = 0.1  # seconds that a measurement of speed takes at least
SAMPLES, MOST_SAMPLES = 500, 50_000  # of the shortest and the longest measurement
Speeds = Mapping[str, tuple[float, str]]  # by model: samples per second of one sound, and the code that generates them
Scores = Sequence[Mapping[str, Any]]  # of one model, for each seed
ASKED = (  # model -> its rivals
    ("transformer", ("wavenet", "wavenet_large")),
    ("transformer_context", ("transformer", "wavenet", "wavenet_large")),
)
VALIDATION_BATCHES = 8


@stage("next_sample_{name}", title="{fit.summary}", together=True)
def train_sample_model(
    run: StageRun,
    name: str,
    config: SampleWaveNetConfig | TransformerConfig,
    crops: SampleCropsConfig,
    fit: FitConfig,
    waveforms: CachedArtifact,
) -> None:
    """Train one model on the samples of training clips."""
    model = create_sample_model(config, seed=fit.seed)
    train, validation = (
        SampleCrops(split_samples(waveforms, split), crops, history=config.history) for split in TRAINED_ON
    )
    lengths = np.diff(train.clips.offsets).tolist()
    examples = Examples.of_crops(lengths, crops.samples, 1 / config.sample_rate, batch_size=crops.batch_size)
    run.fit("next_sample.fit", model, train, list(validation.batches(VALIDATION_BATCHES)), loss, fit, examples)
    if run.gang.rank == 0:
        SampleLanguageModel(model).save_pretrained(run.folder)


@stage("next_sample_scores", title="{models} models and baselines on {test_crops} test crops")
@one_thread()
def score_sample_models(
    run: StageRun,
    models: Mapping[str, CachedArtifact],
    training: CachedArtifact,
    test: CachedArtifact,
    crops: SampleCropsConfig,
    test_crops: int,
) -> None:
    """Measure models and baselines on the same crops of test clips: a row for each, with its sizes."""
    clips, steps, device = split_samples(test, "test"), -(-test_crops // crops.batch_size), run.gang.device
    rows: dict[str, dict[str, object]] = {}
    for name, artifact in models.items():
        model = SampleLanguageModel.from_pretrained(artifact.folder, device=str(device)).model
        batches = SampleCrops(clips, crops, history=model.config.history).batches(steps)
        rows[name] = {
            **asdict(score(model, batches, device)),
            "parameters": sum(weights.numel() for weights in model.parameters()),
            "multiply_adds": multiply_adds(model),
            "history": model.config.history + 1,
        }
        run.terminal.say(f"  scored {name}")
    counts = count_pairs(split_samples(training, "train").pieces())
    for kind, parameters in BASELINES.items():
        batches = SampleCrops(clips, crops, history=0).batches(steps)
        found = score(create_baseline(kind, counts).to(device), batches, device)
        found = replace(found, bits_per_sample=None) if kind == "repeat" else found
        sizes = {"parameters": parameters, "multiply_adds": 0.0, "history": int(kind != "histogram")}
        rows[kind] = {**asdict(found), **sizes}
    write_json(run.folder / _SCORES, {"rows": rows, "crops": steps * crops.batch_size})


@stage("next_sample_sounds", title="sounds by each of {models} models", splits=("test",))
def generate_sample_sounds(
    run: StageRun,
    clips: Clips,
    models: Mapping[str, CachedArtifact],
    config: SampleSoundsConfig,
    *,
    sample_rate: int,
    precision: str,
) -> None:
    """Make WAV files of every model, and the prompts that they continue; ``precision`` is that of the engine."""
    chosen, step = choose_randomly(clips.clips, config.prompts, seed=config.seed), max(sample_rate // 100, 1)
    rows: list[dict[str, object]] = []
    prompts: list[Waveform | None] = [None] * config.unprompted
    for number, clip in enumerate(chosen):
        sound = loudest_clip(clips, clip, sample_rate, 2 * config.prompt_seconds, step=step).waveform
        rows.append(_write(run.folder, ORIGINAL, sound, clip=number))
        half = sound.samples[: max(len(sound.samples) // 2, 1)]
        prompts.append(Waveform(samples=half, sample_rate=sample_rate))
    of = [*(f"unprompted {number}" for number in range(config.unprompted)), *(clip.name for clip in chosen)]
    seeds = [sound_seed(config.seed, each) for each in of]
    sampling = Sampling(temperature=config.temperature, seed=config.seed, engine=config.engine)
    for name, artifact in models.items():
        model = SampleLanguageModel.from_pretrained(artifact.folder, device=str(run.gang.device))
        with run.terminal.working(f"sounds of {name}", 1, "samples") as progress:
            tell = progress.advance_to
            made = model.generate(prompts, seconds=config.seconds, sampling=sampling, seeds=seeds, progress=tell)
        for number, (prompt, more) in enumerate(zip(prompts, made, strict=True)):
            place = None if prompt is None else number - config.unprompted
            rows.append(_write(run.folder, name, more, prompt=prompt, clip=place, number=number))
    # Without labels and groups, which can change while the sound stays: the results take them from the manifest.
    write_json(run.folder / SAMPLE_SOUNDS, {"sounds": rows, "clips": [{"path": clip.name} for clip in chosen]})


def _write(
    folder: Path, of: str, sound: Waveform, *, clip: int | None, prompt: Waveform | None = None, number: int = 0
) -> dict[str, object]:
    """Write a sound behind its prompt, and describe it; the figures are those of the sound without the prompt."""
    file = f"{of}_{number}.wav" if clip is None else f"{of}_clip_{clip}.wav"
    (joined_sound(prompt, sound) if prompt else sound).write(folder / file)
    begin = {"prompt_seconds": prompt.seconds} if prompt else {}
    return {"of": of, "file": file, "clip": clip, "figures": {**begin, **sound_levels(sound)}}


def train_on_samples(trial: Trial) -> None:
    """Train every wanted model on the same crops, and score all of them on the same test crops."""
    session, rate, options = trial.session, trial.audio.sample_rate, trial.settings.of(NextSampleSettings)
    training = trial.add(waveforms(session, trial.manifest, rate))
    test = trial.add(test_waveforms(session, trial.manifest, rate))
    models = {}
    for name in options.models:
        config = options.config(name)
        models[str(name)] = trial.add(train_sample_model(session, name, config, options.crops, options.fit, training))
    crops = replace(options.crops, seed=options.test_seed)
    trial.add(score_sample_models(session, models, training, test, crops, options.test_crops))


def make_sample_sounds(
    session: Session, clips: Clips, settings: RunSettings, made: Mapping[str, CachedArtifact]
) -> list[CachedArtifact]:
    """Make sounds by the models of the first seed."""
    own = settings.of(NextSampleSettings)
    models = {str(name): made[f"{NEXT_SAMPLE}_{name}"] for name in own.models}
    rounding, rate = (
        precision(choose_engine(own.sounds.engine, session.gang.device.type).engine),
        settings.audio.sample_rate,
    )
    return [generate_sample_sounds(session, clips, models, own.sounds, sample_rate=rate, precision=rounding)]


def measure_speed(config: NextSampleSettings, artifacts: Mapping[str, CachedArtifact], device: torch.device) -> Speeds:
    """Measure the samples per second that each model generates for one sound, on this machine as it is now."""
    engine, speeds = config.sounds.engine, dict[str, tuple[float, str]]()
    for name in config.models:
        folder = artifacts[f"{NEXT_SAMPLE}_{name}"].folder
        model = SampleLanguageModel.from_pretrained(folder, device=str(device))

        def seconds(samples: int, model: SampleLanguageModel = model) -> float:
            sampling, begun = Sampling(temperature=1.0, engine=engine), time.perf_counter()
            model.generate([None], seconds=samples / model.sample_rate, sampling=sampling)
            return time.perf_counter() - begun

        seconds(1)  # loads libraries and kernels
        samples = SAMPLES
        # Reading the past takes as long for 1 sample as for many, and cancels.
        while (more := seconds(1 + samples) - seconds(1)) < LONG_ENOUGH and samples < MOST_SAMPLES:
            samples *= 10
        speeds[name] = samples / max(more, 1e-9), model.engine(engine)
    return speeds


def sample_rows(made: Made, manifest: Clips, settings: RunSettings) -> tuple[Section, list[Row]]:
    """Describe the models, and give their figures over all seeds."""
    known = {clip.name: {"label": clip.label, "group": clip.group} for clip in manifest.clips}
    options, first = settings.of(NextSampleSettings), next(iter(made.values()))
    speeds = measure_speed(options, first, choose_device(settings.device))
    scores = [artifacts[f"{NEXT_SAMPLE}_scores"] for artifacts in made.values()]
    scored = [artifact.read_json(_SCORES)["rows"] for artifact in scores]
    rows: dict[str, Scores] = {name: [each[name] for each in scored] for name in (*BASELINES, *options.models)}
    sounds = first[SOUNDS]
    models = Section(
        seeds=len(made),
        sample_rate=settings.audio.sample_rate,
        samples=next(iter(rows.values()))[0]["samples"],
        steps=options.fit.steps,
        crops=options.crops.batch_size,
        crop_samples=options.crops.samples,
        engines={name: engine for name, (_, engine) in speeds.items()},
        trainings={
            name: {f"seed {seed}": each[f"{NEXT_SAMPLE}_{name}"].read_json(CURVE) for (_, seed), each in made.items()}
            for name in options.models
        },
        sounds=sounds.read_rows(SAMPLE_SOUNDS, "sounds"),
        clips=[row | known[row["path"]] for row in sounds.read_rows(SAMPLE_SOUNDS, "clips")],
    )
    keys = " ".join(artifact.key for artifact in scores)
    row = Row(stage=NEXT_SAMPLE, name="accuracy", value=np.nan, artifact=keys)
    return models, list(_of_models(rows, speeds, row, settings.probe.confidence))


def _of_models(rows: Mapping[str, Scores], speeds: Speeds, row: Row, confidence: float) -> Iterator[Row]:
    tested = replace(row, split="test", seeds=len(next(iter(rows.values()))))
    for name, own in rows.items():
        for figure in ("accuracy", "bits_per_sample"):
            if own[0][figure] is not None:  # None: a baseline without probabilities
                yield _mean_of_seeds(replace(tested, name=figure, of=name), [each[figure] for each in own], confidence)
        for size in ("parameters", "multiply_adds", "history"):
            yield replace(row, name=size, of=name, value=own[0][size])
        if name in speeds:
            yield replace(row, name="samples_per_second", of=name, value=speeds[name][0])
    for name, rivals in ASKED:
        for rival in rivals:
            if name in rows and rival in rows:
                pair = replace(tested, of=name, against=rival)
                for figure, called in (("accuracy", "difference"), ("bits_per_sample", "bits_per_sample_difference")):
                    paired = [a[figure] - b[figure] for a, b in zip(rows[name], rows[rival], strict=True)]
                    yield _mean_of_seeds(replace(pair, name=called), paired, confidence)


def _mean_of_seeds(row: Row, values: Sequence[float], confidence: float) -> Row:
    low, high = intervals.t_interval(np.asarray(values), confidence=confidence)
    return replace(row, value=float(np.mean(values)), low=low, high=high, over=None if low is None else "seeds")


def sample_sounds(results: Results) -> Iterator[PageSound]:
    for row in section_of(results, NEXT_SAMPLE).get("sounds", []):
        yield PageSound("samples", row["clip"], heading(row["of"]), f"{SOUNDS}/{row['file']}", row["figures"])


def sample_charts(folder: Path, results: Results) -> Iterator[Chart]:
    own, every = section_of(results, NEXT_SAMPLE), [*sample_sounds(results)]
    for of, records in own.get("trainings", {}).items():
        yield replace(training_chart(of, records, loss="nats per sample"), name=f"curve_next_sample_{of}")
    names = [clip_title(clip) for clip in own.get("clips", [])]
    for number, name in enumerate([*names, "Without a prompt"]):
        if sounds := sounds_among(every, "samples", number if number < len(names) else None):
            yield sound_spectrograms(folder, sounds, name=f"samples-{number}", title=name)
