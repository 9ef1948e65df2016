"""The vocoder of a run as start weights: its network alone, which reads log-mel as it is, for every tokenizer.

`vocoder.wavenet.transfer` says how a run converts them to its own tokenizer. Those that ship with the package lie in
``vocoder/universal``, a folder for each sample rate.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace

from huggingface_hub import ModelCardData

from pipelines.commandline.idle_options import PLACES
from pipelines.publish import PublishConfig
from pipelines.publishing.hub import choose_parts
from pipelines.results.run_record import Results, read_results
from pipelines.stages.start import VOICE, require_absolute, start_folder, statistics_of
from pipelines.store.work_folder import new_folder
from vocoder.vocoder import Vocoder
from vocoder.wavenet.transfer import as_it_is, transferred
from wordless.audio.options import SpectrogramConfig
from wordless.base.errors import InputError
from wordless.base.files import file_hash, write_aside
from wordless.base.saved_models import CARD, VOCODER, WEIGHTS, write_model
from wordless.base.text import escape_markdown

_CARD = """---
{front_matter}
---
# Start weights of a vocoder

The WaveNet of a unit vocoder that reads log-mel as it is, and so serves every tokenizer of its front end. It decodes
nothing by itself: `wordless run vocoder.start=FOLDER` converts it to the codes of a run, and trains it further or not.

| | |
|---|---|
| front end | {audio.sample_rate:,} Hz, {audio.n_mels} mel bands from {audio.f_min:g} to {audio.highest:g} Hz, \
windows of {audio.window_length} samples every {audio.hop_length}, floor {audio.floor:g} |
| network | {config.layers} layers, {parameters:,} parameters, {config.levels} mu-law levels |
| trained on{last} | {clips:,} clips, {hours:.2f} hours: {corpus} |
| training began with | {start} |
| training | {training} |
| command | `{command}` |
| commit | {commit} |
| packed with | `wordless publish format=start` |
| SHA-256 of the weights | `{sha256}` |
{rights}"""
_ESPEAK = """
## Data and licences

The recordings are those of the built-in corpus, spoken by [eSpeak NG](https://github.com/espeak-ng/espeak-ng). Its
licence, GPL-3.0-or-later, covers the program, which Wordless calls in a process of its own and does not contain. The
sound that it makes is no copy of the program. No recording of a person is among them, and none is part of this folder.
"""
_DESCRIBED = """
## Data and licences

{description}

No recording is part of this folder.
"""
_OTHERS = """
## Data and licences

What these weights may be used for also depends on the rights to the recordings that they learned from, and on the
consent of the people who are heard in them. No recording is part of this folder.
"""


def write_start_weights(settings: PublishConfig) -> None:
    """Write model.safetensors, README.md and config.json into the folder ``output``, whole or not at all."""
    run, output = str(settings.run), settings.output
    assert output is not None, "the options demand one"
    results = read_results(settings.run)
    choose_parts(settings.run, ("tokenizer", "vocoder"), {})
    config, audio = require_absolute(run)
    vocoder, known = Vocoder.from_pretrained(start_folder(run, VOCODER, option=VOICE)), statistics_of(run)
    if vocoder.steps == 0:
        raise InputError(
            f"run={run} took no step of its vocoder's training (vocoder.fit.steps=0): its weights are those that "
            f"{VOICE} named, for which this run's card would be wrong; publish a run whose vocoder was trained"
        )
    for_all = replace(config, groups=())  # of a start with groups: their average
    model = transferred(vocoder.model, for_all, known=known, new=as_it_is(config.n_mels), seed=0)
    with new_folder(output) as folder:
        write_model(folder, model, {"log_mel": asdict(audio), "wavenet": asdict(for_all)})
        write_aside(folder / CARD, _card(settings, results, vocoder, audio, sha256=file_hash(folder / WEIGHTS)))
    for path in sorted(output.iterdir()):
        print(f"{path.stat().st_size / 1e6:>10,.3f} MB  {path}", flush=True)


def _card(settings: PublishConfig, results: Results, vocoder: Vocoder, audio: SpectrogramConfig, *, sha256: str) -> str:
    """Write the card of ``vocoder``, packed as weights of this hash; it knows the last of several trainings best."""
    made, corpus, curve = results.get("provenance"), results["corpus"], results["curves"].get("vocoder")
    place = made["config"].get("corpus") if made else None
    spoken = isinstance(place, Mapping) and not any(place.get(name) for name in PLACES)
    config, began_at = replace(vocoder.model.config, groups=()), vocoder.began_at
    start = (
        "random weights" if began_at is None else f"the weights of an earlier vocoder, with the SHA-256 `{began_at}`"
    )
    rights = _ESPEAK if spoken and began_at is None else _OTHERS
    if settings.description is not None:
        rights = _DESCRIBED.format(description=settings.description.strip())
    data = ModelCardData(library_name="wordless", license=settings.licence, tags=["audio", "vocoder", "wavenet"])
    return _CARD.format(
        front_matter=data.to_yaml(),
        audio=audio,
        config=config,
        parameters=config.parameters,
        start=start,
        last="" if began_at is None else " last",
        clips=corpus["clips"]["train"],
        hours=corpus["seconds"]["train"] / 3600,
        corpus=escape_markdown(corpus["name"]),
        training="unknown" if curve is None else f"step {curve['kept_step']:,} of {curve['steps']:,}",
        command="unknown" if made is None else made["command"],
        commit="unknown" if made is None else made["commit"],
        sha256=sha256,
        rights=rights,
    )
