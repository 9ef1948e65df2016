"""The publication of a fine-tuned model: the model, what turns sound into its inputs, and its card."""

from pathlib import Path

from huggingface_hub import ModelCard

from lm.finetuned import FineTunedModel
from pipelines.publishing.card import RIGHTS, front_matter, without_examples
from pipelines.publishing.contents import CARD, Publication, linked, model_files
from pipelines.publishing.options import PublishConfig
from wordless.base.errors import InputError
from wordless.base.text import escape, escape_markdown

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


def finetuned(settings: PublishConfig) -> Publication:
    """Load the model as others will, and write its card."""
    if settings.parts is not None or settings.report:
        raise InputError(
            f"run={settings.run} is a fine-tuned model, which is published whole; leave parts and report out"
        )
    model, files = _load(settings.run)
    card = ModelCard((settings.run / CARD).read_text(encoding="utf-8"))
    title = escape_markdown(settings.repo.partition("/")[2])
    table = settings.run / TABLE
    sections = [
        front_matter(settings, [card]),
        f"# {title}",
        _USE.format(repo=settings.repo, rate=model.body.reading.sample_rate),
        *([f"## Figures of test clips\n\n{table.read_text(encoding='utf-8').strip()}"] if table.is_file() else []),
        f"## Model\n\n{without_examples(card)}",
        RIGHTS,
    ]
    del files[CARD]
    notice = f"the model names what it predicts: {escape(model.task.summary)}"
    return Publication(card="\n\n".join(sections) + "\n", files=files, notices=(notice,))


def _load(run: Path) -> tuple[FineTunedModel, dict[str, Path]]:
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
