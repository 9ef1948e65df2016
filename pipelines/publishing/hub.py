"""The models of a run, or a fine-tuned model, on the Hugging Face hub: which files, the model card, and the upload.

Only the files that models are loaded from are published: the others name recordings, speakers and folders of this
machine, or contain sounds.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

from huggingface_hub import CommitOperationAdd, HfApi, ModelCard, ModelCardData

from lm.finetuned import FineTunedModel
from pipelines.demonstration.models import DemoModels
from pipelines.pages.phrasing import draw, key_figures
from pipelines.publish import Part, PublishConfig, find_repository
from pipelines.results.figures import COSTS
from pipelines.results.run_record import read_results, recorded_options
from pipelines.results.tables import as_markdown
from pipelines.store.run_folder import REPORT, is_finetuned
from vocoder.options import Sampling
from wordless.audio.recordings.manifest import SPLITS
from wordless.base.errors import InputError
from wordless.base.files import open_regular
from wordless.base.hub import CONFIG, hub_errors
from wordless.base.saved_models import INDEX, weight_files
from wordless.base.text import counted, escape

CARD = "README.md"
MODEL_FILES = frozenset({CONFIG, "model.safetensors", CARD, "preprocessor_config.json"})
STAGES: tuple[Part, ...] = ("tokenizer", "lm", "vocoder")  # whose models a run keeps; a probe needs more than its stage
TABLE = "figures.md"  # of wordless finetune
Files = dict[str, Path | bytes]  # contents by the paths in the repository, the card first


def publish_models(settings: PublishConfig) -> None:
    """Print the files and the card, and upload them if that is wanted."""
    files, notices = _finetuned(settings) if is_finetuned(settings.run) else _whole_run(settings)
    sizes = {name: len(each) if isinstance(each, bytes) else each.stat().st_size for name, each in files.items()}
    seen = "private" if settings.private else "public"
    total = f"{counted(len(sizes), 'file')} for {settings.address} ({seen})"
    for name, size in [*sizes.items(), (total, sum(sizes.values()))]:
        print(f"{size / 1e6:>10,.3f} MB  {name}")
    card = files[CARD]
    assert isinstance(card, bytes), "the card is written, not copied"
    print(f"\n{escape(card.decode())}", *notices, sep="\n")
    if settings.upload:
        print(upload(settings, files), flush=True)
    else:
        print("nothing was uploaded; the same command with upload=true uploads these files", flush=True)


def choose_parts(run: Path, wanted: Collection[Part] | None, config: Mapping[str, Any]) -> list[Part]:
    """Return the wanted parts, or all that the run has; ``config`` are the options of the run."""
    there = [part for part in get_args(Part) if (run / part / CONFIG).is_file()]
    stages = config.get("stages") or ()
    for part in wanted if wanted is not None else (part for part in STAGES if part in stages):
        if part not in there:
            choices = f"publish the others: parts=[{','.join(there)}]"
            raise InputError(f"run={run} holds no {part}/{CONFIG}; repeat the command of the run, or {choices}")
    return there if wanted is None else [part for part in there if part in wanted]


def model_files(run: Path, parts: Iterable[str]) -> dict[str, Path]:
    """Return the files of the models by their paths in the repository."""
    below = [path for part in parts for path in (run / part).rglob("*")]
    shards = [shard for path in below if path.name == INDEX for shard in (path, *weight_files(path.parent))]
    found = sorted({*shards, *(path for path in below if path.name in MODEL_FILES)})
    for path in found:
        with open_regular(path):  # refuses what cannot be read, before anything is uploaded
            pass
    return {path.relative_to(run).as_posix(): path for path in found}


@contextmanager
def linked(files: Mapping[str, Path]) -> Iterator[Path]:
    """Give a folder with links to exactly these files, as somebody who downloads them has it."""
    with TemporaryDirectory(prefix="wordless_publish_") as folder:
        for name, path in files.items():
            link = Path(folder) / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.absolute())
        yield Path(folder)


def _whole_run(settings: PublishConfig) -> tuple[Files, list[str]]:
    """Load the models as others will, and give the files of the repository and what should be known of them."""
    run, results = settings.run, read_results(settings.run)
    parts = choose_parts(run, settings.parts, recorded_options(results))
    files = model_files(run, parts)
    with linked(files) as folder:
        try:
            models = DemoModels.of_folder(folder, sampling=Sampling(), device="cpu")
        except InputError as error:
            raise InputError(str(error).replace(str(folder), str(run))) from error
    if "probe" in parts and models.unread:
        raise InputError(
            f"parts has probe, which reads {models.unread}, and not the model that computes it: add lm to parts, or "
            "leave probe out"
        )
    notices, report = [], run / REPORT
    if models.groups:
        notices.append(f"the vocoder names the groups of its recordings: {escape(', '.join(models.groups))}")
    if models.probe is not None:
        notices.append(f"the probe names the labels: {escape(', '.join(models.probe.description.classes))}")
    if settings.report:
        notices.append(
            f"{REPORT} contains sounds, spectrograms, file names, labels and groups of recordings: upload it only "
            "if you have the right to"
        )
        if not report.is_file():
            raise InputError(f"report=true, but {report} is missing; draw it first: wordless report run={run}")
    named = {part: f"{part}/{CARD}" for part in parts if f"{part}/{CARD}" in files}
    cards = {part: ModelCard(files[name].read_text(encoding="utf-8")) for part, name in named.items()}
    card = _card(
        settings,
        cards.values(),
        models=models,
        results=results,
        splits=SPLITS,
        key_figures=key_figures(results),
        comparison=as_markdown(results["comparison"]).strip() if "comparison" in results else "",
        parts={part: without_examples(card) for part, card in cards.items()},
    )
    # Costs say something about this machine alone.
    rows = [figure.as_row() for figure in results["figures"] if figure.name not in COSTS]
    figures = (json.dumps({"figures": rows}, indent=1) + "\n").encode()
    reports = {REPORT: report} if settings.report else {}
    return {CARD: card, "figures.json": figures, **files, **reports}, notices


def _finetuned(settings: PublishConfig) -> tuple[Files, list[str]]:
    """Load the model from its files and from the parts that its front end reads, and give these files."""
    run = settings.run
    if settings.parts is not None or settings.report:
        raise InputError(f"run={run} is a fine-tuned model, which is published whole; leave parts and report out")
    body = FineTunedModel.from_pretrained(run).body
    files = {name: path for name, path in model_files(run, [""]).items() if "/" not in name}
    files |= model_files(run, body.parts)
    with linked(files) as folder:
        model = FineTunedModel.from_pretrained(folder)
        for part in model.body.parts:
            if not (folder / part).is_dir():
                raise InputError(f"{run} holds no {part}, which turns sound into its inputs; fine-tune it again")
    own, table = ModelCard(files.pop(CARD).read_text(encoding="utf-8")), run / TABLE
    card = _card(
        settings,
        [own],
        models=None,
        rate=model.body.reading.sample_rate,
        table=table.read_text(encoding="utf-8").strip() if table.is_file() else "",
        parts={"Model": without_examples(own)},
    )
    return {CARD: card, **files}, [f"the model names what it predicts: {escape(model.task.summary)}"]


def _card(settings: PublishConfig, cards: Iterable[ModelCard], **values: object) -> bytes:
    """Write a model card. The hub reads its first lines: the tags of all ``cards`` of the models, and the licence."""
    tags = dict.fromkeys(["audio", "discrete-units", *(tag for card in cards for tag in card.data.get("tags") or ())])
    data = ModelCardData(library_name="wordless", tags=[*tags], license=settings.licence)
    name = settings.repo.partition("/")[2]
    values |= {"repo": settings.repo, "name": name, "front_matter": data.to_yaml()}
    return draw("model_card.md.jinja", escape=False, **values).encode()


def without_examples(card: ModelCard) -> str:
    """Return the text of a model card without its code, with headings of a lower level."""
    text = re.sub(r"^```.*?^```\n+", "", card.text.strip() + "\n", flags=re.MULTILINE | re.DOTALL).strip()
    return re.sub(r"^(?=#)", "##", text, flags=re.MULTILINE)


def upload(settings: PublishConfig, files: Files) -> str:
    """Create the repository if there is none, upload everything in one commit, and return the address of its page.

    Raises:
        InputError: the repository holds models that would be left beside those of this run, or the hub refuses.
    """
    api = HfApi(library_name="wordless")
    info = find_repository(settings.address)
    left = sorted(name for name in (info[1] if info else ()) if name.endswith(".safetensors") and name not in files)
    if left:
        raise InputError(
            f"repo={settings.repo} holds {left[0]}, which this run does not replace, and models of two runs do not "
            "work together; delete it there, or choose another name"
        )
    with hub_errors(settings.address):
        try:
            if info is None:
                api.create_repo(settings.repo, private=settings.private)
            commit = api.create_commit(
                settings.repo,
                [CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in files.items()],
                commit_message="Upload the models of a Wordless run",
            )
        except ValueError as error:  # the hub checks the first lines of the card
            if isinstance(error, OSError):
                raise
            line = " ".join(str(error).split())
            raise InputError(f"the hub refuses the model card ({line}); choose another licence=...") from error
    return str(commit.repo_url)
