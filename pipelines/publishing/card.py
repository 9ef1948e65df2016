"""The model card of a published run: its codebook, corpus and figures, and how to load its models."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

from pipelines.demonstration.models import DemoModels
from pipelines.pages.key_figures import key_figures
from pipelines.pages.phrasing import duration, number, percent
from pipelines.publishing.options import PublishConfig
from pipelines.results.comparison_table import as_markdown
from pipelines.results.run_record import Results
from tokenizer.rate_tokenizer import RateTokenizer
from wordless.audio.recordings.manifest import SPLITS
from wordless.base.text import escape_markdown, listed

TAGS = ("audio", "discrete-units")
_FENCE = re.compile(r"^```.*?^```\n+", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"^(?=#)", re.MULTILINE)
RIGHTS = """## Rights

The recordings are not part of this repository. What these models may be used for also depends on the rights to the
recordings that they learned from, and on the consent of the people who are heard in them."""
_ONE_RATE = """import wordless

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
_RATES = """import wordless
from lm.rate_model import RateLanguageModel
from tokenizer.rate_tokenizer import RateTokenizer

tokenizer = RateTokenizer.from_pretrained("{repo}")
codes = tokenizer.encode(wordless.read("a.wav", tokenizer.format.sample_rate))
"""
_RATES_MODEL = """more = RateLanguageModel.from_pretrained("{repo}").generate(codes, seconds=1)
"""


def run_card(settings: PublishConfig, models: DemoModels, results: Results, cards: Mapping[str, Path]) -> str:
    """Write Markdown about the models of a run. ``cards`` are the model cards of its parts, by part."""
    parts = {part: ModelCard(path.read_text(encoding="utf-8")) for part, path in cards.items()}
    title = escape_markdown(settings.repo.partition("/")[2])
    sections = [
        front_matter(settings, parts.values()),
        f"# {title}\n\nModels of sound that Wordless learned from recordings, without any text: {_contents(models)}.",
        _table(("", ""), _facts(models, results)),
        f"## Use\n\n{_use(settings.repo, models)}",
        *_figures(results),
        *(f"## {part}\n\n{without_examples(card)}" for part, card in parts.items()),
        *_probe(models),
        RIGHTS,
    ]
    return "\n\n".join(sections) + "\n"


def front_matter(settings: PublishConfig, cards: Iterable[ModelCard]) -> str:
    """Return the first lines of a card, which the hub reads: the tags of all ``cards``, and the licence."""
    tags = dict.fromkeys([*TAGS, *(tag for card in cards for tag in card.data.get("tags") or ())])
    data = ModelCardData(library_name="wordless", tags=[*tags], license=settings.licence)
    return f"---\n{data.to_yaml()}\n---"


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
    if isinstance(models.tokenizer, RateTokenizer):
        code = [_RATES, _RATES_MODEL if models.language_model else ""]
    else:
        code = [_ONE_RATE]
        code += [_LANGUAGE_MODEL] if models.language_model else []
        code += [_VOCODER] if models.vocoder else []
        code += [_CONTINUATION] if models.language_model and models.vocoder else []
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


def _probe(models: DemoModels) -> Iterator[str]:
    if models.probe is not None:
        about = models.probe.description
        labels = ", ".join(map(escape_markdown, about.classes))
        accuracy = f"{percent(about.test_accuracy)} of test clips; the most frequent label: {percent(about.chance)}"
        yield f"## probe\n\nA linear probe of `{about.of}` ({accuracy}). Labels: {labels}."


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
