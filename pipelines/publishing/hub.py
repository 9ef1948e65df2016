"""The models of a run, or a fine-tuned model, on the Hugging Face hub: which files, the model card, and the upload.

Only the files that models are loaded from are published: the others name recordings, speakers and folders of this
machine, or contain sounds.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

from huggingface_hub import CommitOperationAdd, HfApi, ModelCard, ModelCardData

from lm.finetuned import FineTunedModel
from pipelines.demonstration.models import DemoModels
from pipelines.pages.phrasing import duration, key_figures, number, percent
from pipelines.publish import Part, PublishConfig, find_repository
from pipelines.results.figures import COSTS
from pipelines.results.run_record import Results, read_results
from pipelines.results.tables import as_markdown
from pipelines.store.run_folder import REPORT, is_finetuned
from vocoder.sampling import Sampling
from wordless.audio.recordings.manifest import SPLITS
from wordless.base.errors import InputError
from wordless.base.files import open_regular
from wordless.base.hub import CONFIG, hub_errors
from wordless.base.saved_models import INDEX, weight_files
from wordless.base.text import counted, escape, escape_markdown, listed

CARD = "README.md"
MODEL_FILES = frozenset({CONFIG, "model.safetensors", CARD, "preprocessor_config.json"})
STAGES: tuple[Part, ...] = ("tokenizer", "lm", "vocoder")  # whose models a run keeps; a probe needs more than its stage
FIGURES = "figures.json"
TABLE = "figures.md"  # of wordless finetune
_USE = """## Use

```
wordless predict model=hf://{repo} input=FOLDER output=table.tsv
```

```python
import wordless
from lm.finetuned import FineTunedModel

model = FineTunedModel.from_pretrained("{repo}")
rows = model.predict([wordless.read("a.wav", {rate})])
```"""
TAGS = ("audio", "discrete-units")
_FENCE = re.compile(r"^```.*?^```\n+", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"^(?=#)", re.MULTILINE)
RIGHTS = """## Rights

The recordings are not part of this repository. What these models may be used for also depends on the rights to the
recordings that they learned from, and on the consent of the people who are heard in them."""
_TOKENIZER = """import wordless

tokenizer = wordless.Tokenizer.from_pretrained("{repo}")
sound = wordless.read("a.wav", tokenizer.format.sample_rate)
codes = tokenizer.encode(sound)
"""
_LANGUAGE_MODEL = """model = wordless.LanguageModel.from_pretrained("{repo}")
more = model.generate(codes, seconds=1)
"""
_VOCODER = """vocoder = wordless.Vocoder.from_pretrained("{repo}")
vocoder.decode(codes, tokenizer).write("copy.wav")
"""
_CONTINUATION = """vocoder.continue_from(sound, wordless.join_codes(codes, more), tokenizer).write("more.wav")
"""


def publish_models(settings: PublishConfig) -> None:
    """Print the files and the card, and upload them if that is wanted."""
    made = finetuned(settings) if is_finetuned(settings.run) else whole_run(settings)
    _show(settings, made.contents)
    print(f"\n{escape(made.card)}")
    for line in made.notices:
        print(line)
    if settings.upload:
        print(upload(settings, made.contents), flush=True)
    else:
        print("nothing was uploaded; the same command with upload=true uploads these files", flush=True)


def _show(settings: PublishConfig, contents: Mapping[str, Path | bytes]) -> None:
    """Print the files with their sizes."""
    sizes = {name: len(each) if isinstance(each, bytes) else each.stat().st_size for name, each in contents.items()}
    seen = "private" if settings.private else "public"
    total = f"{counted(len(sizes), 'file')} for {settings.address} ({seen})"
    for name, size in [*sizes.items(), (total, sum(sizes.values()))]:
        print(f"{size / 1e6:>10,.3f} MB  {name}")


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What a repository gets."""

    card: str
    files: Mapping[str, Path | bytes]  # by their paths in the repository, without the card
    notices: tuple[str, ...]  # which names of the recordings they contain, and whether they contain sound

    @property
    def contents(self) -> dict[str, Path | bytes]:
        """All files, the card first."""
        return {CARD: self.card.encode(), **self.files}


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


def whole_run(settings: PublishConfig) -> Publication:
    """Load the models as others will, and write their card."""
    results = read_results(settings.run)
    config = results["provenance"]["config"] if "provenance" in results else {}
    parts = choose_parts(settings.run, settings.parts, config)
    files = model_files(settings.run, parts)
    models = _load(settings.run, files)
    if "probe" in parts and models.unread:
        raise InputError(
            f"parts has probe, which reads {models.unread}, and not the model that computes it: add lm to parts, or "
            "leave probe out"
        )
    cards = {
        str(part): ModelCard(files[f"{part}/{CARD}"].read_text(encoding="utf-8"))
        for part in parts
        if f"{part}/{CARD}" in files
    }
    report = {REPORT: _report(settings.run)} if settings.report else {}
    # Costs say something about this machine alone.
    rows = [figure.as_row() for figure in results["figures"] if figure.name not in COSTS]
    figures = (json.dumps({"figures": rows}, indent=1) + "\n").encode()
    return Publication(
        card=_card(settings, cards.values(), _sections(settings.repo, models, results, cards)),
        files={FIGURES: figures, **files, **report},
        notices=tuple(_notices(settings, models)),
    )


def _load(run: Path, files: Mapping[str, Path]) -> DemoModels:
    """Load the models from these files alone."""
    with linked(files) as folder:
        try:
            return DemoModels.of_folder(folder, sampling=Sampling(), device="cpu")
        except InputError as error:
            raise InputError(str(error).replace(str(folder), str(run))) from error


def _report(run: Path) -> Path:
    if not (run / REPORT).is_file():
        raise InputError(f"report=true, but {run / REPORT} is missing; draw it first: wordless report run={run}")
    return run / REPORT


def _notices(settings: PublishConfig, models: DemoModels) -> Iterator[str]:
    """Say which names of the recordings the files contain, and whether they contain sound."""
    if models.groups:
        yield f"the vocoder names the groups of its recordings: {escape(', '.join(models.groups))}"
    if models.probe is not None:
        yield f"the probe names the labels: {escape(', '.join(models.probe.description.classes))}"
    if settings.report:
        yield (
            f"{REPORT} contains sounds, spectrograms, file names, labels and groups of recordings: upload it only "
            "if you have the right to"
        )


def finetuned(settings: PublishConfig) -> Publication:
    """Load the model as others will, and write its card."""
    if settings.parts is not None or settings.report:
        raise InputError(
            f"run={settings.run} is a fine-tuned model, which is published whole; leave parts and report out"
        )
    model, files = _load_finetuned(settings.run)
    card = ModelCard((settings.run / CARD).read_text(encoding="utf-8"))
    table = settings.run / TABLE
    sections = [
        _USE.format(repo=settings.repo, rate=model.body.reading.sample_rate),
        *([f"## Figures of test clips\n\n{table.read_text(encoding='utf-8').strip()}"] if table.is_file() else []),
        f"## Model\n\n{without_examples(card)}",
    ]
    del files[CARD]
    notice = f"the model names what it predicts: {escape(model.task.summary)}"
    return Publication(card=_card(settings, [card], sections), files=files, notices=(notice,))


def _load_finetuned(run: Path) -> tuple[FineTunedModel, dict[str, Path]]:
    """Load the model from its files and from the parts that its front end reads, and return these files."""
    own = FineTunedModel.from_pretrained(run)
    files = {name: path for name, path in model_files(run, [""]).items() if "/" not in name}
    files |= model_files(run, own.body.parts)
    with linked(files) as folder:
        model = FineTunedModel.from_pretrained(folder)
        for part in model.body.parts:
            if not (folder / part).is_dir():
                raise InputError(f"{run} holds no {part}, which turns sound into its inputs; fine-tune it again")
    return model, files


def _card(settings: PublishConfig, cards: Iterable[ModelCard], sections: Iterable[str]) -> str:
    """Write a model card. The hub reads its first lines: the tags of all ``cards`` of the models, and the licence."""
    tags = dict.fromkeys([*TAGS, *(tag for card in cards for tag in card.data.get("tags") or ())])
    data = ModelCardData(library_name="wordless", tags=[*tags], license=settings.licence)
    title = escape_markdown(settings.repo.partition("/")[2])
    return "\n\n".join([f"---\n{data.to_yaml()}\n---", f"# {title}", *sections, RIGHTS]) + "\n"


def _sections(repo: str, models: DemoModels, results: Results, cards: Mapping[str, ModelCard]) -> Iterator[str]:
    """Give the sections of a run's card. ``cards`` are the model cards of its parts, by part."""
    yield f"Models of sound that Wordless learned from recordings, without any text: {_contents(models)}."
    yield _table(("", ""), _facts(models, results))
    yield f"## Use\n\n{_use(repo, models)}"
    yield from _figures(results)
    for part, card in cards.items():
        yield f"## {part}\n\n{without_examples(card)}"
    if models.probe is not None:
        about = models.probe.description
        labels = ", ".join(map(escape_markdown, about.classes))
        accuracy = f"{percent(about.test_accuracy)} of test clips; the most frequent label: {percent(about.chance)}"
        yield f"## probe\n\nA linear probe of `{about.of}` ({accuracy}). Labels: {labels}."


def _contents(models: DemoModels) -> str:
    named = {
        "a GPT over these codes (`lm`)": models.language_model,
        "a WaveNet that turns codes into sound (`vocoder`)": models.vocoder,
        "a linear probe of labels (`probe`)": models.probe,
    }
    return listed(["a tokenizer of sound to codes (`tokenizer`)", *(name for name, model in named.items() if model)])


def _facts(models: DemoModels, results: Results) -> Iterator[tuple[str, str]]:
    for own in models.tokenizer.format.formats:
        streams = f" in each of {own.streams} streams" if own.streams > 1 else ""
        codes = f"{own.codebook_size} codes, {own.codes_per_second:g} per second{streams}"
        yield "codebook", f"{codes}; fingerprint `{own.codebook}`"
    yield "bits per second", " ".join([number(models.tokenizer.format.bits_per_second), *_compressed(results)])
    yield "sample rate", f"{models.tokenizer.format.sample_rate:,} Hz"
    if corpus := results.get("corpus"):
        sizes = listed([f"{corpus['clips'][split]} {split}" for split in SPLITS if split in corpus["clips"]])
        seconds = duration(sum(corpus["seconds"].values()))
        yield "corpus", f"{escape_markdown(corpus['name'])}: {sizes} clips, {seconds} of sound"
    if provenance := results.get("provenance"):
        yield "Wordless", f"version {provenance['version']}, {provenance['date'][:10]}"


def _compressed(results: Results) -> Iterator[str]:
    found = results["figures"].value("lm", "bits_per_second")
    if found is not None:
        yield f"({number(found)} with the probabilities of the GPT, on validation clips)"


def _use(repo: str, models: DemoModels) -> str:
    """Write Python that loads the models there are, and the commands that take this repository."""
    code = [_TOKENIZER, _LANGUAGE_MODEL if models.language_model else ""]
    if models.vocoder and not models.tokenizer.coarser:  # which decodes the finest codes alone
        code += [_VOCODER, _CONTINUATION if models.language_model else ""]
    commands = [
        f"wordless demo model=hf://{repo}",
        f"wordless encode model=hf://{repo} input=FOLDER output=codes.parquet",
    ]
    return f"```python\n{''.join(code).format(repo=repo)}```\n\n```\n" + "\n".join(commands) + "\n```"


def _figures(results: Results) -> Iterator[str]:
    rows = [(figure.name, figure.value, figure.note) for figure in key_figures(results)]
    comparison = results.get("comparison")
    tables = [_table(("figure", "value", "beside"), rows)] if rows else []
    if comparison:
        tables.append(f"Linear probes of test clips, all by one protocol:\n\n{as_markdown(comparison).strip()}")
    if tables:
        yield "\n\n".join(["## Figures", *tables, "`figures.json` has all figures of the run."])


def without_examples(card: ModelCard) -> str:
    """Return the text of a model card without its code, with headings of a lower level."""
    text = _FENCE.sub("", card.text.strip() + "\n").strip()
    return _TITLE.sub("##", text)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def upload(settings: PublishConfig, contents: Mapping[str, Path | bytes]) -> str:
    """Create the repository if there is none, upload everything in one commit, and return the address of its page.

    Raises:
        InputError: the repository holds models that would be left beside those of this run, or the hub refuses.
    """
    api = HfApi(library_name="wordless")
    info = find_repository(settings.address)
    left = sorted(name for name in (info[1] if info else ()) if name.endswith(".safetensors") and name not in contents)
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
                [CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in contents.items()],
                commit_message="Upload the models of a Wordless run",
            )
        except ValueError as error:  # the hub checks the first lines of the card
            if isinstance(error, OSError):
                raise
            line = " ".join(str(error).split())
            raise InputError(f"the hub refuses the model card ({line}); choose another licence=...") from error
    return str(commit.repo_url)
