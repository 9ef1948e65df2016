"""The table of all heads: the task of each."""

from lm.heads.classification import ClassificationTask
from lm.heads.head import Task
from lm.heads.regression import RegressionTask
from lm.heads.sequence import SequenceTask

HEADS: dict[str, type[Task]] = {
    "classification": ClassificationTask,
    "regression": RegressionTask,
    "sequence": SequenceTask,
}
