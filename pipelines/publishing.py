"""The work of ``wordless publish``: the models of a run on the hub, or start weights.

Only the files that models are loaded from are uploaded: the others name recordings, speakers and folders of this
machine, or contain sounds. Start weights are the network of a vocoder alone, which reads log-mel as it is, for every
tokenizer. Those that ship lie in ``vocoder/universal``.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from huggingface_hub import HfApi, ModelCard, ModelCardData

from lm.finetuned import FineTunedModel
from pipelines.commandline.choices import is_embedded
from pipelines.commandline.outputs import new_folder
from pipelines.demonstration.answers import DemoModels
from pipelines.pages.phrasing import draw, methods_table
from pipelines.publish import Part, PublishConfig
from pipelines.results.figures import COSTS
from pipelines.results.run_record import read_results, recorded_options
from pipelines.stages.start import VOICE, require_absolute, start_folder, statistics_of
from pipelines.store.run_folder import REPORT, TABLE, is_finetuned
from vocoder.options import Sampling
from vocoder.vocoder import Vocoder
from vocoder.wavenet import as_it_is, transferred
from wordless.audio.recordings.manifest import SPLITS
from wordless.base.errors import InputError
from wordless.base.files import file_hash, open_regular, write_aside
from wordless.base.hub import CONFIG, hub_errors
from wordless.base.saved_models import CARD, VOCODER, WEIGHTS, write_model
from wordless.base.text import counted, escape

MODEL_FILES = frozenset({CONFIG, "model.safetensors", CARD, "preprocessor_config.json"})


def write(settings: PublishConfig) -> None:
    """Write files, or print the files and the card of a repository, and upload them if that is wanted."""
    if settings.format == "start":
        return write_start_weights(settings)
    with TemporaryDirectory(prefix="wordless_publish_") as place:
        folder = Path(place)
        notices = (_finetuned if is_finetuned(settings.run) else _whole_run)(settings, folder)
        sizes = {path.relative_to(folder): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
        seen = "private" if settings.private else "public"
        total = f"{counted(len(sizes), 'file')} for {settings.address} ({seen})"
        for name, size in [*sorted(sizes.items()), (total, sum(sizes.values()))]:
            print(f"{size / 1e6:>10,.3f} MB  {name}")
        print(f"\n{escape((folder / CARD).read_text(encoding='utf-8'))}", *notices, sep="\n")
        nothing = "nothing was uploaded; the same command with upload=true uploads these files"
        print(upload(settings, folder) if settings.upload else nothing, flush=True)


def link_models(run: Path, parts: Iterable[str], folder: Path) -> None:
    """Link the files of the models in a folder, as somebody who downloads them has them."""
    for path in (path for part in parts for path in (run / part).rglob("*") if path.name in MODEL_FILES):
        with open_regular(path):  # refuses what cannot be read, before anything is uploaded
            link = folder / path.relative_to(run)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.absolute())


def _whole_run(settings: PublishConfig, folder: Path) -> list[str]:
    """Fill the folder with the files of the repository, and return what should be known of them."""
    run, results = settings.run, read_results(settings.run)
    there = [part for part in get_args(Part) if (run / part / CONFIG).is_file()]
    parts = there if settings.parts is None else settings.parts
    rule = f"the run has no others: parts=[{','.join(there)}]"
    settings.refuse_if({*parts} - {*there}, "parts", rule)
    link_models(run, parts, folder)
    try:
        models = DemoModels.of_folder(folder, sampling=Sampling(), device="cpu")
    except InputError as error:
        raise InputError(str(error).replace(str(folder), str(run))) from error
    rule = "the probe reads states of the language model: add lm to parts, or leave probe out"
    settings.refuse_if("probe" in parts and models.probe is None, "parts", rule)
    notices = []
    if settings.report:
        notices.append(f"{REPORT} contains sounds and names of recordings: upload it only if you have the right to")
        shutil.copy(run / REPORT, folder)
    if models.groups:
        notices.append(f"the vocoder names the groups of its recordings: {escape(', '.join(models.groups))}")
    if models.probe is not None:
        notices.append(f"the probe names the labels: {escape(', '.join(models.probe.description.classes))}")
    cards = {part: ModelCard.load(path) for part in parts if (path := folder / part / CARD).is_file()}
    _write_card(
        settings,
        folder,
        cards,
        models=models,
        results=results,
        splits=SPLITS,
        comparison=methods_table(results["comparison"]).strip() if "comparison" in results else "",
    )
    # Costs say something about this machine alone.
    rows = [figure.as_row() for figure in results["figures"] if figure.name not in COSTS]
    (folder / "figures.json").write_text(json.dumps({"figures": rows}, indent=1) + "\n")
    return notices


def _finetuned(settings: PublishConfig, folder: Path) -> list[str]:
    """Fill the folder with a fine-tuned model, and with the parts that its front end reads."""
    run = settings.run
    parts = FineTunedModel.from_pretrained(run).body.parts
    for part in parts:
        if not (run / part).is_dir():
            raise InputError(f"{run} holds no {part}, which turns sound into its inputs; fine-tune it again")
    link_models(run, parts, folder)
    for path in run.iterdir():
        if path.name in MODEL_FILES:
            (folder / path.name).symlink_to(path.absolute())
    model, table = FineTunedModel.from_pretrained(folder), run / TABLE
    card = ModelCard.load(folder / CARD)
    (folder / CARD).unlink()
    _write_card(
        settings,
        folder,
        {"Model": card},
        models=None,
        rate=model.body.reading.sample_rate,
        table=table.read_text(encoding="utf-8").strip() if table.is_file() else "",
    )
    return [f"the model names what it predicts: {escape(model.task.summary)}"]


def _write_card(settings: PublishConfig, folder: Path, cards: Mapping[str, ModelCard], **values: object) -> None:
    """Write a model card. The hub reads its first lines: the tags of all ``cards`` of the models, and the licence."""
    own = (tag for card in cards.values() for tag in card.data.get("tags") or ())
    tags = dict.fromkeys(["audio", "discrete-units", *own])
    data = ModelCardData(library_name="wordless", tags=[*tags], license=settings.licence)
    parts = {}  # without their code, and with headings of a lower level
    for part, card in cards.items():
        prose = re.sub(r"^```.*?^```\n+", "", card.text.strip() + "\n", flags=re.MULTILINE | re.DOTALL).strip()
        parts[part] = re.sub(r"^(?=#)", "##", prose, flags=re.MULTILINE)
    values |= {"repo": settings.repo, "name": settings.repo.partition("/")[2], "front_matter": data.to_yaml()}
    text = draw("model_card.md.jinja", escape=False, parts=parts, **values)
    (folder / CARD).write_text(text, encoding="utf-8")


def upload(settings: PublishConfig, folder: Path) -> str:
    """Create the repository if there is none, upload everything in one commit, and return the address of its page."""
    api = HfApi(library_name="wordless")
    with hub_errors(settings.address):
        api.create_repo(settings.repo, private=settings.private, exist_ok=True)
        info = api.model_info(settings.repo)
        seen, other = ("public", "false") if settings.private else ("private", "true")
        page = f"{api.endpoint}/{settings.repo}/settings"
        rule = f"{settings.repo} is {seen}: call with private={other}, or change the repository: {page}"
        settings.refuse_if(bool(info.private) != settings.private, "private", rule)
        there = [each.rfilename for each in info.siblings or () if each.rfilename.endswith(".safetensors")]
        left = [name for name in there if not (folder / name).exists()]
        rule = f"models of two runs do not work together: delete {', '.join(left)} there, or choose another name"
        settings.refuse_if(left, "repo", rule)
        message = "Upload the models of a Wordless run"
        return str(api.upload_folder(repo_id=settings.repo, folder_path=folder, commit_message=message).repo_url)


def write_start_weights(settings: PublishConfig) -> None:
    """Write model.safetensors, README.md and config.json into the folder ``output``, whole or not at all."""
    run, output = str(settings.run), settings.output
    assert output is not None, "the options demand one"
    results = read_results(settings.run)
    config, audio = require_absolute(run)
    vocoder, known = Vocoder.from_pretrained(start_folder(run, VOCODER, option=VOICE)), statistics_of(run)
    rule = f"its vocoder took no step (vocoder.fit.steps=0), and has the weights of {VOICE}: publish a run that trained"
    settings.refuse_if(vocoder.steps == 0, "run", rule)
    for_all = replace(config, groups=())  # of a start with groups: their average
    model = transferred(vocoder.model, for_all, known=known, new=as_it_is(config.n_mels), seed=0)
    place = recorded_options(results).get("corpus")
    spoken = isinstance(place, Mapping) and is_embedded(place)
    data = ModelCardData(library_name="wordless", license=settings.licence, tags=["audio", "vocoder", "wavenet"])
    with new_folder(output) as folder:
        write_model(folder, model, {"log_mel": audio.key, "wavenet": asdict(for_all)})
        card = draw(
            "start_card.md.jinja",
            escape=False,
            front_matter=data.to_yaml(),
            audio=audio,
            config=for_all,
            parameters=sum(weight.numel() for weight in model.parameters()),
            results=results,
            began_at=vocoder.began_at,
            sha256=file_hash(folder / WEIGHTS),
            description=settings.description,
            by_espeak=spoken and vocoder.began_at is None,
        )
        write_aside(folder / CARD, card)
    for path in sorted(output.iterdir()):
        print(f"{path.stat().st_size / 1e6:>10,.3f} MB  {path}", flush=True)
