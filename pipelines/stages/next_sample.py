"""Training of language models of samples on the same crops, and their scores on the same test crops."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from lm.samples.counts import BASELINES, count_pairs, create_baseline, table_size
from lm.samples.crops import SampleClips, SampleCrops, loss, score
from lm.samples.model import SampleLanguageModel, create_sample_model
from pipelines.stages.options import ModelName, NextSampleSettings
from pipelines.stages.stored_arrays import SAMPLES, TRAINED_ON, kept_rows, read_clips
from pipelines.store.session import Session
from pipelines.store.store import MODEL, Entry, Recipe, write_json
from pipelines.store.training_curve import CURVE, numeric
from wordless.audio.recordings.manifest import Manifest, Split
from wordless.base.threads import one_thread

NEXT_SAMPLE = "next_sample"  # the stage; its entries of models are next_sample_<model>
SCORES = "scores.json"
VALIDATION_BATCHES = 8
VERSIONS: dict[ModelName, int] = {"transformer_context": 2}  # of the stages of models; others have 1


def train_sample_model(
    session: Session, manifest: Manifest, waveforms_entry: Entry, settings: NextSampleSettings, name: ModelName
) -> Entry:
    """Train one model on the samples of training clips; the entry is a folder that `SampleLanguageModel` loads."""
    config, fit, stage = settings.config(name), settings.fit, f"{NEXT_SAMPLE}_{name}"
    options = {"model": asdict(config), "crops": asdict(settings.crops), "fit": numeric(fit)}
    recipe = Recipe(stage, VERSIONS.get(name, 1), config=options, inputs={"waveforms": waveforms_entry.key})

    def make(folder: Path) -> None:
        model = create_sample_model(config, seed=fit.seed)
        train, validation = (
            SampleCrops(stored_samples(waveforms_entry, manifest, split), settings.crops, history=config.history)
            for split in TRAINED_ON
        )
        held_out = list(validation.batches(VALIDATION_BATCHES))
        session.train(stage, f"{NEXT_SAMPLE}.fit", model, train, held_out, loss, fit, folder)
        if session.gang.rank == 0:
            SampleLanguageModel(model).save_pretrained(folder)

    title = f"{config.parameters:,} parameters, {fit.summary}"
    return session.obtain(recipe, title, make, files=[*MODEL, CURVE], together=True)


def score_sample_models(
    session: Session,
    manifest: Manifest,
    sounds: tuple[Entry, Entry],
    models: Sequence[tuple[ModelName, Entry]],
    settings: NextSampleSettings,
) -> Entry:
    """Measure models and baselines on the same test crops; ``sounds`` are the waveforms of training and of test clips.

    ``scores.json`` has a row for each, with its sizes.
    """
    training, test = sounds
    crops = replace(settings.crops, seed=settings.test_seed)
    inputs = {name: entry.key for name, entry in models} | {"waveforms": training.key, "test_waveforms": test.key}
    options = {"crops": asdict(crops), "count": settings.test_crops}
    recipe = Recipe(f"{NEXT_SAMPLE}_scores", 1, config=options, inputs=inputs)
    steps = -(-settings.test_crops // crops.batch_size)

    @one_thread()
    def make(folder: Path) -> None:
        clips = _all_samples(test)
        rows: dict[str, dict[str, object]] = {}
        for name, entry in models:
            loaded = SampleLanguageModel.from_pretrained(entry.folder, device=str(session.gang.device))
            config = loaded.model.config
            batches = SampleCrops(clips, crops, history=config.history).batches(steps)
            rows[name] = {
                **asdict(score(loaded.model, batches, session.gang.device)),
                "parameters": config.parameters,
                "multiply_adds": config.multiply_adds,
                "history": config.history + 1,
            }
            session.terminal.say(f"  scored {name}")
        counts = count_pairs(stored_samples(training, manifest, "train").pieces())
        for kind in BASELINES:
            batches = SampleCrops(clips, crops, history=0).batches(steps)
            found = score(create_baseline(kind, counts).to(session.gang.device), batches, session.gang.device)
            found = replace(found, bits_per_sample=None) if kind == "repeat" else found
            sizes = {"parameters": table_size(kind), "multiply_adds": 0.0, "history": int(kind != "histogram")}
            rows[kind] = {**asdict(found), **sizes}
        write_json(folder / SCORES, {"rows": rows, "crops": steps * crops.batch_size})

    title = f"{len(models)} models and {len(BASELINES)} baselines on {settings.test_crops} test crops"
    return session.obtain(recipe, title, make, files=[SCORES])


def stored_samples(entry: Entry, manifest: Manifest, split: Split) -> SampleClips:
    """Return the samples of a split's clips in an entry of `waveforms`, read in place."""
    samples, offsets = read_clips(entry.folder / SAMPLES)
    rows = kept_rows(manifest, split)
    here = offsets[rows.start : rows.stop + 1]
    return SampleClips(samples=samples[here[0] : here[-1]], offsets=here - here[0])


def _all_samples(entry: Entry) -> SampleClips:
    samples, offsets = read_clips(entry.folder / SAMPLES)
    return SampleClips(samples=samples, offsets=offsets)
