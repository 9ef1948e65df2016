"""The table of all heads: the options and the task of each."""

from dataclasses import dataclass

from lm.finetuning.heads.classification import ClassificationOptions, ClassificationTask
from lm.finetuning.heads.regression import RegressionOptions, RegressionTask
from lm.finetuning.heads.sequence import SequenceOptions, SequenceTask
from lm.finetuning.task import HeadOptions, Task


@dataclass(frozen=True, kw_only=True)
class HeadKind:
    """A head of the table."""

    options: type[HeadOptions]
    task: type[Task]


HEADS: dict[str, HeadKind] = {
    "classification": HeadKind(options=ClassificationOptions, task=ClassificationTask),
    "regression": HeadKind(options=RegressionOptions, task=RegressionTask),
    "sequence": HeadKind(options=SequenceOptions, task=SequenceTask),
}
