"""The vocoder of a run as start weights: its network alone, which reads log-mel as it is, for every tokenizer.

`vocoder.wavenet` says how a run converts them to its own tokenizer. Those that ship with the package lie in
``vocoder/universal``, a folder for each sample rate.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace

from huggingface_hub import ModelCardData

from pipelines.commandline.idle_options import PLACES
from pipelines.pages.phrasing import draw
from pipelines.publish import PublishConfig
from pipelines.publishing.hub import choose_parts
from pipelines.results.run_record import read_results, recorded_options
from pipelines.stages.start import VOICE, require_absolute, start_folder, statistics_of
from pipelines.store.work_folder import new_folder
from vocoder.vocoder import Vocoder
from vocoder.wavenet import as_it_is, transferred
from wordless.base.errors import InputError
from wordless.base.files import file_hash, write_aside
from wordless.base.saved_models import CARD, VOCODER, WEIGHTS, write_model


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
    place = recorded_options(results).get("corpus")
    spoken = isinstance(place, Mapping) and not any(place.get(name) for name in PLACES)
    data = ModelCardData(library_name="wordless", license=settings.licence, tags=["audio", "vocoder", "wavenet"])
    with new_folder(output) as folder:
        write_model(folder, model, {"log_mel": asdict(audio), "wavenet": asdict(for_all)})
        card = draw(
            "start_card.md.jinja",
            escape=False,
            front_matter=data.to_yaml(),
            audio=audio,
            config=replace(vocoder.model.config, groups=()),
            results=results,
            began_at=vocoder.began_at,
            sha256=file_hash(folder / WEIGHTS),
            description=settings.description,
            by_espeak=spoken and vocoder.began_at is None,
        )
        write_aside(folder / CARD, card)
    for path in sorted(output.iterdir()):
        print(f"{path.stat().st_size / 1e6:>10,.3f} MB  {path}", flush=True)
