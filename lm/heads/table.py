"""The table of all heads: the options and the task of each."""

from dataclasses import dataclass

from lm.heads.classification import ClassificationOptions, ClassificationTask
from lm.heads.head import HeadOptions, Task
from lm.heads.regression import RegressionOptions, RegressionTask
from lm.heads.sequence import SequenceOptions, SequenceTask


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
