"""The work of ``wordless publish``: the models of a run on the hub.

Only the files that models are loaded from are uploaded: the others name recordings, speakers and folders of this
machine, or contain sounds.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from lm.finetuned import FineTunedModel
from pipelines.jobs.speaking import ModelsOfRun
from pipelines.pages.phrasing import draw, methods_table
from pipelines.plugins.publish import PublishConfig, PublishedPart
from pipelines.results.run_record import COSTS, read_results, records
from pipelines.store.run_parts import REPORT, TABLE, is_finetuned
from vocoder.vocoder_options import Sampling
from wordless.audio.recordings.manifest import SPLITS
from wordless.base.files import open_regular
from wordless.base.messages import InputError, counted, escape
from wordless.base.saved_models import CARD, CONFIG, PROBE, hub_errors

MODEL_FILES = frozenset({CONFIG, "model.safetensors", CARD, "preprocessor_config.json"})


def write(settings: PublishConfig) -> None:
    """Print the files and the card of a repository, and upload them if that is wanted."""
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
    files = (path for part in parts for path in (run / part).glob("*" if part == PROBE.part else "**/*"))
    for path in files:  # of the probes, the one that the demo reads
        if path.name not in MODEL_FILES:
            continue
        with open_regular(path):  # refuses what cannot be read, before anything is uploaded
            link = folder / path.relative_to(run)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.absolute())


def _whole_run(settings: PublishConfig, folder: Path) -> list[str]:
    """Fill the folder with the files of the repository, and return what should be known of them."""
    run, results = settings.run, read_results(settings.run)
    there = [part for part in get_args(PublishedPart) if (run / part / CONFIG).is_file()]
    parts = there if settings.parts is None else settings.parts
    rule = f"the run has no others: parts=[{','.join(there)}]"
    settings.refuse_if({*parts} - {*there}, "parts", rule)
    link_models(run, parts, folder)
    try:
        models = ModelsOfRun.of_folder(folder, sampling=Sampling(), device="cpu")
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
    cards = {part: path for part in parts if (path := folder / part / CARD).is_file()}
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
    rows = results["figures"][~results["figures"]["name"].isin(COSTS)]
    (folder / "figures.json").write_text(json.dumps({"figures": records(rows)}, indent=1) + "\n")
    return notices


def _finetuned(settings: PublishConfig, folder: Path) -> list[str]:
    """Fill the folder with a fine-tuned model, and with the parts that its front end reads."""
    run = settings.run
    parts = FineTunedModel.from_pretrained(run).backbone.parts
    for part in parts:
        if not (run / part).is_dir():
            raise InputError(f"{run} holds no {part}, which turns sound into its inputs; fine-tune it again")
    link_models(run, parts, folder)
    for path in run.iterdir():
        if path.name in MODEL_FILES:
            (folder / path.name).symlink_to(path.absolute())
    model, table = FineTunedModel.from_pretrained(folder), run / TABLE
    _write_card(
        settings,
        folder,
        {"Model": folder / CARD},
        models=None,
        rate=model.backbone.reading.sample_rate,
        table=table.read_text(encoding="utf-8").strip() if table.is_file() else "",
    )
    return [f"the model names what it predicts: {escape(model.task.summary)}"]


def _write_card(settings: PublishConfig, folder: Path, files: Mapping[str, Path], **values: object) -> None:
    """Write a model card. The hub reads its first lines: the tags of all cards of the models, and the licence."""
    from huggingface_hub import ModelCard, ModelCardData  # slow to import

    cards = {part: ModelCard.load(path) for part, path in files.items()}
    own = (tag for card in cards.values() for tag in card.data.get("tags") or ())
    tags = dict.fromkeys(["audio", "discrete-units", *own])
    data = ModelCardData(library_name="wordless", tags=[*tags], license=settings.licence)
    parts = {}  # without their code, and with headings of a lower level
    for part, card in cards.items():
        prose = re.sub(r"^```.*?^```\n+", "", card.text.strip() + "\n", flags=re.MULTILINE | re.DOTALL).strip()
        parts[part] = re.sub(r"^(?=#)", "##", prose, flags=re.MULTILINE)
    values |= {"repo": settings.repo, "name": settings.repo.partition("/")[2], "front_matter": data.to_yaml()}
    text = draw("publish/model_card.md.jinja", escape=False, parts=parts, **values)
    (folder / CARD).unlink(missing_ok=True)  # a link to that of a fine-tuned model, which stays as it is
    (folder / CARD).write_text(text, encoding="utf-8")


def upload(settings: PublishConfig, folder: Path) -> str:
    """Create the repository if there is none, upload everything in one commit, and return the address of its page."""
    from huggingface_hub import HfApi  # slow to import

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
