"""The model card that lies beside a fine-tuned model."""

from torch import nn

from lm.finetuning.bodies.table import BODIES
from lm.finetuning.body import Body
from lm.finetuning.task import Task
from wordless.base.text import escape_markdown

_CARD = """---
library_name: wordless
tags: [audio, {head}]
---

# Fine-tuned model: {head}

A body that gives states over time to a recording ({body}), and a head that predicts labels from them ({head}).

| | |
|---|---|
| parameters | {parameters:,} |
| sample rate | {rate} Hz |
| states per second | {states:g} |
| learned | {learned} |
| silent ends | {ends} |

```python
from pathlib import Path
from wordless.audio.reading import read
from lm.finetuning.model import FineTunedModel

model = FineTunedModel.from_pretrained("path/of/this/folder")
rows = model.predict([read(Path("a.wav"), {rate})])  # a row of a table for each sound
```

`wordless predict model=FOLDER input=RECORDINGS output=table.tsv` writes the table for a folder of recordings. The model
knows only labels and recordings like those that it was trained on.
"""


def model_card(network: nn.Module, body: Body, head: str, task: Task, *, trim_db: float | None = None) -> str:
    """Write Markdown with the model's sizes, what it learned, and how to call it."""
    return _CARD.format(
        head=head,
        body=BODIES[body.name].title,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        rate=body.reading.sample_rate,
        states=body.reading.states_per_second,
        learned=escape_markdown(task.summary),
        ends="kept" if trim_db is None else f"cut off where they are more than {trim_db:g} dB below the loudest 20 ms",
    )
