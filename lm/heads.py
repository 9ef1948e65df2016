"""Heads: what is predicted from the states of a backbone, and its figures on test clips.

A head is a module over the states, and a task (`Task`), which says what the module's outputs mean and which
``config.json`` of a fine-tuned model holds; `lm.finetuned` has the table of all heads. Its options on the command line
stand in `lm.finetuning`. Outputs of a clip are an array ``(steps, width)``; classification and regression read a clip
as a whole and give one step. Each figure has an interval over the groups of the clips, or over clips without groups.

A task is plain values, made from the labels of training clips::

    of          makes it; refuses labels of other clips if they cannot be predicted
    summary     what is predicted, in a few words
    create      the module ``(states (batch, time, dim), lengths (batch,)) -> (outputs, their lengths)``
    targets     labels as a tensor ``(clips, ...)``
    loss        the sum for outputs ``(batch, steps, width)`` over the items of a batch, and their number
    rows        outputs of clips as rows of a table, whose first column is the prediction
    figures     of outputs for test clips; the first one is compared
    constant    the best outputs ``(steps, width)`` without the sound, which answer every clip alike
    probe       of pooled states, if the head gives one step for a clip (`PooledTask`)

A sequence is the characters of a label's text, by connectionist temporal classification (CTC; Graves et al. 2006).
Output 0 is the blank, output ``c`` the character ``characters[c - 1]``. Equal characters that follow each other need a
blank between them::

    outputs  - t t h - r e - e e -      "-" is the blank
    text       t   h   r e   e          "three"

Beam search is that of torchaudio's decoder, which needs the package flashlight-text.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, groupby
from operator import itemgetter
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init
from torchaudio.functional import edit_distance

from lm.finetuning import ClassificationOptions, RegressionOptions, SequenceOptions, require_decoder, require_numbers
from lm.probing.intervals import Decisions, Estimate, Hits, Measured, Outcome, Over, Predictions, Rankings, Ratios
from lm.probing.linear import LEAST_GAIN, RidgeProbe, side_by_side, standardise
from lm.probing.probe import Features, probe_method
from lm.probing.probe_options import FEWEST_RESAMPLES, FigureConfig, ProbeConfig
from lm.probing.task import ProbeTask, Rows, c_grid
from lm.probing.vectors import PARTS, Means, pool_batch
from wordless.audio.recordings.manifest import number_of
from wordless.base.arrays import BoolArray, FloatArray
from wordless.base.devices import copy_to
from wordless.base.messages import InputError, counted

Groups = Sequence[str | None]  # of each test clip


@dataclass(frozen=True, kw_only=True)
class NamedEstimate(Estimate):
    """A figure of the predictions for the test clips."""

    name: str
    over: Over  # of the interval
    percent: bool = False  # whether it is a share, which is shown in percent

    def show(self, value: float) -> str:
        return f"{value:.1%}" if self.percent else f"{value:.3f}"

    @property
    def plain(self) -> dict[str, object]:
        """Name, value, interval and text for JSON; None where a number is not known, such as R2 of equal numbers."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        known = {end: value if math.isfinite(value) else None for end, value in numbers.items()}
        text = f"{self.show(self.value)} ({self.show(self.low)} to {self.show(self.high)})"
        return {"name": self.name, **known, "text": text if math.isfinite(self.value) else "–"}


def figure(
    name: str, outcome: Outcome, config: FigureConfig, groups: Groups = (), *, percent: bool = False
) -> NamedEstimate:
    """Measure the outcome of one method; ``groups`` are those of the clips, empty if they have none."""
    measured = Measured.of([outcome], [groups], resamples=config.resamples, seed=config.seed)
    found = measured.estimate(0, confidence=config.confidence)
    return NamedEstimate(**vars(found), name=name, over=measured.over, percent=percent)


PredictionRow = Mapping[str, str | float]  # columns of a table of predictions


def _projecting(dim: int, width: int) -> nn.Linear:
    """Create a linear layer with the initial weights that transformers gives to heads of speech models."""
    layer = cast(nn.Linear, skip_init(nn.Linear, dim, width))  # type: ignore[no-untyped-call]  # torch's own
    nn.init.normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


class ClipHead(nn.Module):
    """One step of outputs for each clip: a linear layer behind pooled states."""

    def __init__(
        self,
        dim: int,
        width: int,
        *,
        pooling: Means,
        dropout: float,
        normalised: bool = False,
        projected: int | None = None,
    ) -> None:
        """Create the layer; before it, pooled states may be normalised, and projected to another width."""
        super().__init__()
        self.pooling = pooling
        features = PARTS[pooling] * dim
        if projected is not None:  # transformers draws the embedding of masked frames before the heads of speech models
            torch.rand(dim, dtype=torch.float32)
        self.norm = nn.LayerNorm(features) if normalised else nn.Identity()
        self.projection = nn.Identity() if projected is None else _projecting(features, projected)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, width) if projected is None else _projecting(projected, width)

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map states ``(batch, time, dim)`` of lengths ``(batch,)`` to ``(batch, 1, width)``, and lengths of 1."""
        return self.of_pooled(pool_batch(states, lengths, self.pooling)).unsqueeze(1), torch.ones_like(lengths)

    def of_pooled(self, pooled: Tensor) -> Tensor:
        """Map pooled states ``(batch, features)`` to outputs ``(batch, width)``."""
        outputs: Tensor = self.linear(self.dropout(self.projection(self.norm(pooled))))
        return outputs


_SHOWN = 10  # classes in a summary
LEAST_SHARE = 1e-6  # of a class, whose logarithm must be finite


@dataclass(frozen=True, kw_only=True)
class ClassificationTask:
    """The classes, and how they are learned. Outputs are logits ``(1, classes)``."""

    name = "classification"
    options: ClassificationOptions
    classes: tuple[str, ...]  # sorted
    normalised: bool = False  # whether the head normalises pooled states, as that of AST does
    projected: int | None = None  # width to which the head projects pooled states, as those of speech models; None: not

    @classmethod
    def of(cls, options: ClassificationOptions, train: Sequence[str], held_out: Sequence[str]) -> "ClassificationTask":
        """Make the task: its classes are those of the training clips, and held-out clips may have no others."""
        options.require(train)
        classes = {name for label in train for name in options.names(label)}
        if lost := sorted({name for label in held_out for name in options.names(label)} - classes):
            raise InputError(
                f"{counted(len(lost), 'class has', 'classes have')} no training clip ({', '.join(lost[:5])}); change "
                "corpus.split so that each has any, or leave these classes out"
            )
        return cls(options=options, classes=tuple(sorted(classes)))

    @property
    def multi_label(self) -> bool:
        """Whether a clip may have several classes."""
        return self.options.label_separator is not None

    @property
    def summary(self) -> str:
        more = ", ..." if len(self.classes) > _SHOWN else ""
        return f"{len(self.classes)} classes: {', '.join(self.classes[:_SHOWN])}{more}"

    def create(self, dim: int, *, states_per_second: float) -> nn.Module:
        return ClipHead(
            dim,
            len(self.classes),
            pooling=self.options.pooling,
            dropout=self.options.dropout,
            normalised=self.normalised,
            projected=self.projected,
        )

    def targets(self, labels: Sequence[str]) -> Tensor:
        """Convert labels to classes ``(clips,)``, or to 0 and 1 ``(clips, classes)`` if several are allowed."""
        truth = torch.from_numpy(self._truth(labels)).float()
        return truth if self.multi_label else truth.argmax(1)

    def loss(self, outputs: Tensor, lengths: Tensor, targets: Tensor, *, training: bool) -> tuple[Tensor, int]:
        """Sum the cross entropy in nats over the clips of a batch; for several labels, their mean over the classes."""
        logits = outputs.float().squeeze(1)
        if self.multi_label:
            each = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
            return each.mean(1).sum(), len(logits)
        smoothing = self.options.label_smoothing if training else 0.0
        loss = nn.functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="sum")
        return loss, len(logits)

    def rows(self, outputs: Sequence[FloatArray]) -> list[PredictionRow]:
        """Give each clip's most probable class, or all above 0.5, its probability, and those of all classes."""
        rows = list[PredictionRow]()
        for scores in self._scores(outputs).tolist():
            several = [name for name, score in zip(self.classes, scores, strict=True) if score > 0.5]
            best = self.classes[scores.index(max(scores))]
            label = (self.options.label_separator or "").join(several) if self.multi_label else best
            each = {f"probability of {name}": score for name, score in zip(self.classes, scores, strict=True)}
            rows.append({"label": label, "probability": max(scores), **each})
        return rows

    def figures(
        self, outputs: Sequence[FloatArray], labels: Sequence[str], config: FigureConfig, groups: Groups = ()
    ) -> tuple[NamedEstimate, ...]:
        """Measure accuracy, or mean average precision for several labels; and the mean F1 score over classes."""
        scores, truth = self._scores(outputs), self._truth(labels)
        answers = scores > 0.5 if self.multi_label else np.eye(len(self.classes), dtype=bool)[scores.argmax(1)]
        macro = figure("macro F1", Decisions(truth=truth, chosen=answers[None]), config, groups)
        if self.multi_label:
            ranking = Rankings(truth=truth, scores=scores[None, None])
            return figure("mean average precision", ranking, config, groups, percent=True), macro
        hits = truth[np.arange(len(truth)), scores.argmax(1)].astype(np.float64)
        return figure("accuracy", Hits(hits=hits[None]), config, groups, percent=True), macro

    def probe(
        self, candidates: Features, labels: Sequence[str], rows: Rows, config: ProbeConfig, *, threads: int
    ) -> tuple[list[FloatArray], str]:
        """Fit probes of pooled states ``(clips, dim)``: outputs of the best for test clips, and its candidate."""
        truth, few = self._truth(labels), replace(config, resamples=FEWEST_RESAMPLES)
        task = ProbeTask(classes=self.classes, targets=truth, rows=rows, multi_label=self.multi_label)
        winner, _ = probe_method(candidates, task, few, threads=threads)
        # Values of ridge regression are no probabilities; to cut them off at 0 and 1 would make the surest ones equal.
        tested = winner.scores["test"]
        values = tested - (0.5 if self.multi_label else 0)
        outputs = values.astype(np.float32) if config.classifier == "ridge" else self._logits(tested)
        return list(outputs[:, None]), winner.of

    def constant(self, labels: Sequence[str]) -> FloatArray:
        return self._logits(self._truth(labels).mean(0, dtype=np.float32))[None]

    def _logits(self, scores: FloatArray) -> FloatArray:
        """Return the logits ``(..., classes)`` of probabilities."""
        shares = scores.clip(LEAST_SHARE, 1 - LEAST_SHARE)
        return np.asarray(np.log(shares) - (np.log1p(-shares) if self.multi_label else 0), np.float32)

    def scores(self, logits: Tensor) -> FloatArray:
        """Convert logits to probabilities ``(clips, classes)``: of exclusive classes, or of each class separately."""
        return np.asarray(logits.sigmoid() if self.multi_label else logits.softmax(-1), np.float32)

    def _scores(self, outputs: Sequence[FloatArray]) -> FloatArray:
        return self.scores(torch.from_numpy(np.concatenate(outputs)))

    def _truth(self, labels: Sequence[str]) -> BoolArray:
        """Return the classes of each clip ``(clips, classes)``; classes that were not learned are left out."""
        named = [{*self.options.names(label)} for label in labels]
        truth = np.array([[name in names for name in self.classes] for names in named], bool)
        return truth.reshape(len(labels), len(self.classes))


Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True, kw_only=True)
class RegressionTask:
    """The normalisation of the numbers. Outputs are normalised numbers ``(1, 1)``."""

    name = "regression"
    options: RegressionOptions
    mean: float
    std: float

    @classmethod
    def of(cls, options: RegressionOptions, train: Sequence[str], held_out: Sequence[str]) -> "RegressionTask":
        """Normalise with mean and deviation of the training clips: the spread of equal numbers is a rounding error."""
        require_numbers((*train, *held_out))
        values = _numbers(train)
        spread = float(values.std()) if np.ptp(values) else 1.0
        return cls(options=options, mean=float(values.mean()), std=spread)

    @property
    def summary(self) -> str:
        return f"numbers of mean {self.mean:.4g} and standard deviation {self.std:.4g}"

    def create(self, dim: int, *, states_per_second: float) -> nn.Module:
        return ClipHead(dim, 1, pooling=self.options.pooling, dropout=self.options.dropout)

    def targets(self, labels: Sequence[str]) -> Tensor:
        """Normalise the labels ``(clips,)``."""
        return torch.from_numpy(self._normalised(labels))

    def loss(self, outputs: Tensor, lengths: Tensor, targets: Tensor, *, training: bool) -> tuple[Tensor, int]:
        return (outputs[:, 0, 0] - targets).square().sum(), len(targets)

    def rows(self, outputs: Sequence[FloatArray]) -> list[PredictionRow]:
        """Give the number of each clip, in the units of the labels."""
        return [{"value": float(value)} for value in self._values(outputs)]

    def figures(
        self, outputs: Sequence[FloatArray], labels: Sequence[str], config: FigureConfig, groups: Groups = ()
    ) -> tuple[NamedEstimate, ...]:
        """Measure the coefficient of determination (R2) and the mean absolute error, in the units of the labels."""
        predicted, truth = self._values(outputs), _numbers(labels)
        fit = Predictions(truth=truth, predicted=predicted[None])
        errors = Ratios(parts=np.abs(predicted - truth)[None], wholes=np.ones(len(truth)))
        return figure("R2", fit, config, groups), figure("mean absolute error", errors, config, groups)

    def probe(
        self, candidates: Features, labels: Sequence[str], rows: Rows, config: ProbeConfig, *, threads: int
    ) -> tuple[list[FloatArray], str]:
        predicted, chosen = probe_numbers(candidates, self._normalised(labels), rows, config, threads=threads)
        return list(predicted[:, None, None]), chosen

    def constant(self, labels: Sequence[str]) -> FloatArray:
        """Return the mean of the labels, which is 0 after normalisation with these labels."""
        return np.full((1, 1), self._normalised(labels).mean(), np.float32)

    def _normalised(self, labels: Sequence[str]) -> FloatArray:
        return ((_numbers(labels) - self.mean) / self.std).astype(np.float32)

    def _values(self, outputs: Sequence[FloatArray]) -> Numbers:
        """Return the number of each clip ``(clips,)``, in 64 bits: 32 do not tell large ones apart, such as dates."""
        return np.array([each[0, 0] for each in outputs], np.float64) * self.std + self.mean


def _numbers(labels: Sequence[str]) -> Numbers:
    return np.array([number_of(label) for label in labels], np.float64)


SPACE, _SILENCE = " ", "<silence>"  # the decoder wants a token for silence; a space is one
BLANK_TOKEN = "<blank>"
IMPOSSIBLE = -1e4  # logarithm of the probability of a token that no output stands for


def beam_search(outputs: Sequence[FloatArray], characters: Sequence[str], *, beam_size: int) -> list[str]:
    """Find the probable text, over all alignments in the beam, of each clip's logits ``(steps, 1 + characters)``."""
    require_decoder()
    from torchaudio.models.decoder import ctc_decoder

    silence = SPACE if SPACE in characters else _SILENCE
    tokens = [BLANK_TOKEN, *characters, *([] if silence == SPACE else [_SILENCE])]
    decoder = ctc_decoder(
        lexicon=None,
        tokens=tokens,
        lm=None,
        nbest=1,
        beam_size=beam_size,
        beam_threshold=-IMPOSSIBLE,
        log_add=True,
        blank_token=BLANK_TOKEN,
        sil_token=silence,
    )
    texts = []
    for each in outputs:
        scores = torch.from_numpy(np.ascontiguousarray(each)).log_softmax(-1)
        scores = torch.nn.functional.pad(scores, (0, len(tokens) - scores.shape[1]), value=IMPOSSIBLE)
        ((best, *_),) = decoder(scores[None])
        spelled = [token for token in decoder.idxs_to_tokens(best.tokens) if token != _SILENCE]
        texts.append("".join(spelled).strip())
    return texts


BLANK = 0
_CERTAIN = 30.0  # logit of the only possible output
_COMPARED = 50  # most frequent texts, of which one is the constant answer; two long ones take 10 ms


@dataclass(frozen=True, kw_only=True)
class SequenceTask:
    """The characters. Outputs are logits of the blank and of each character ``(steps, 1 + characters)``."""

    name = "sequence"
    options: SequenceOptions
    characters: tuple[str, ...]  # sorted

    @classmethod
    def of(cls, options: SequenceOptions, train: Sequence[str], held_out: Sequence[str]) -> "SequenceTask":
        options.require(train)
        characters = {character for label in train for character in options.text(label)}
        return cls(options=options, characters=tuple(sorted(characters)))

    @property
    def summary(self) -> str:
        return f"text of {len(self.characters)} characters: {''.join(self.characters)}"

    def create(self, dim: int, *, states_per_second: float) -> nn.Module:
        factor = self.options.steps_per_state(states_per_second)
        return SequenceHead(dim, 1 + len(self.characters), factor=factor, dropout=self.options.dropout)

    def targets(self, labels: Sequence[str]) -> Tensor:
        """Convert texts to numbers of characters ``(clips, longest)``, zeros after the end, without unknown ones."""
        number = {character: place for place, character in enumerate(self.characters, 1)}
        rows = [[number[c] for c in self.options.text(label) if c in number] for label in labels]
        targets = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
        for target, row in zip(targets, rows, strict=True):
            target[: len(row)] = torch.tensor(row, dtype=torch.int64)
        return targets

    def loss(self, outputs: Tensor, lengths: Tensor, targets: Tensor, *, training: bool) -> tuple[Tensor, int]:
        """Sum the CTC loss in nats over characters; a clip with too few steps for its text adds neither."""
        sizes = (targets != BLANK).sum(1)
        repeated = ((targets[:, 1:] == targets[:, :-1]) & (targets[:, 1:] != BLANK)).sum(1)
        scores = outputs.log_softmax(-1).transpose(0, 1)  # (N, T, C) -> (T, N, C)
        lengths = copy_to(lengths, scores.device)
        loss = nn.CTCLoss(blank=BLANK, reduction="sum", zero_infinity=True)
        return loss(scores, targets, lengths, sizes), int(sizes[lengths >= sizes + repeated].sum())

    def rows(self, outputs: Sequence[FloatArray]) -> list[PredictionRow]:
        """Give the text of each clip: by beam search if there is one, and the greedy decoding beside it."""
        greedy, size = self._greedy(outputs), self.options.beam_size
        if not size:
            return [{"text": text} for text in greedy]
        found = beam_search(outputs, self.characters, beam_size=size)
        return [{"text": best, "greedy": text} for best, text in zip(found, greedy, strict=True)]

    def figures(
        self, outputs: Sequence[FloatArray], labels: Sequence[str], config: FigureConfig, groups: Groups = ()
    ) -> tuple[NamedEstimate, ...]:
        """Measure the character error rate of each decoding, and the share of texts without an error (greedy)."""
        wanted = [self.options.text(label) for label in labels]
        greedy = self._greedy(outputs)
        found, size = {"greedy": greedy}, self.options.beam_size
        if size:
            found["beam search"] = beam_search(outputs, self.characters, beam_size=size)
        rates = [
            figure(f"character error rate, {name}", error_rates(texts, wanted), config, groups, percent=True)
            for name, texts in found.items()
        ]
        right = np.array([[text == truth for text, truth in zip(greedy, wanted, strict=True)]], np.float64)
        return (*rates, figure("texts without error", Hits(hits=right), config, groups, percent=True))

    def constant(self, labels: Sequence[str]) -> FloatArray:
        """Return outputs that spell the frequent text with the fewest edits from all others."""
        counts = Counter(map(self.options.text, labels)).most_common(_COMPARED)
        texts, often = zip(*counts, strict=True)
        edits = np.zeros((len(texts), len(texts)))
        for one, other in combinations(range(len(texts)), 2):
            edits[one, other] = edits[other, one] = edit_distance(texts[one], texts[other])
        central = texts[int((edits @ often).argmin())]
        numbers = [0, *(each for c in central for each in (1 + self.characters.index(c), BLANK))]
        outputs = np.zeros((len(numbers), 1 + len(self.characters)), np.float32)
        outputs[np.arange(len(numbers)), numbers] = _CERTAIN
        return outputs

    def _greedy(self, outputs: Sequence[FloatArray]) -> list[str]:
        """Take the most probable output of each step, then merge repetitions and drop blanks."""
        texts = []
        for each in outputs:
            kept = (number for number, _ in groupby(each.argmax(1).tolist()) if number != BLANK)
            texts.append("".join(self.characters[number - 1] for number in kept).strip())
        return texts


class SequenceHead(nn.Module):
    """Several steps of outputs for each state."""

    def __init__(self, dim: int, width: int, *, factor: int, dropout: float) -> None:
        super().__init__()
        self.factor = factor
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, factor * width)

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map states ``(batch, time, dim)`` to ``(batch, time * factor, width)``, and their lengths."""
        outputs = self.linear(self.dropout(states))
        return outputs.reshape(len(states), states.shape[1] * self.factor, -1), lengths * self.factor


def error_rates(texts: Sequence[str], wanted: Sequence[str]) -> Ratios:
    """Count the edits (insertions, deletions, substitutions) from each text to the wanted one, and its characters."""
    edits = [edit_distance(text, truth) for text, truth in zip(texts, wanted, strict=True)]
    return Ratios(parts=np.array([edits], np.float64), wholes=np.array([len(truth) for truth in wanted], np.float64))


PooledTask = ClassificationTask | RegressionTask  # a linear probe of pooled states can solve it, too
Task = PooledTask | SequenceTask


def probe_numbers(
    candidates: Mapping[str, FloatArray], values: FloatArray, rows: Rows, config: ProbeConfig, *, threads: int
) -> tuple[FloatArray, str]:
    """Probe candidates ``(clips, dim)`` for ``values (clips,)``: predictions for test of the best, and its name.

    These probes have the two steps of all others (`lm.probing.probe`): a candidate is chosen with a few regularisation
    strengths, and clipping and regularisation strength for the chosen one among more. The squared error on validation
    chooses in both steps, and the winner is fitted on train.
    """
    wanted = values[rows["validation"]]

    def probe_one(name: str, count: int, clipping: float) -> tuple[float, float, FloatArray, str]:
        """Return the mean squared error with the best C, its standard error, predictions, and the name."""
        _, inputs = standardise(candidates[name], rows, power=config.power, clipping=clipping)
        ridge, found = RidgeProbe(inputs["train"], values[rows["train"], None]), []
        for c in c_grid(count, config):
            ridge.fit(c)
            held_out, predicted = (ridge.scores(inputs[split]).reshape(-1) for split in ("validation", "test"))
            errors = np.square(held_out - wanted)
            found.append((float(errors.mean()), float(errors.std()) / len(errors) ** 0.5, predicted, name))
        return min(found, key=itemgetter(0))

    tried = []
    for clipping in config.feature_clipping:
        few = partial(probe_one, count=config.layer_regularisation_strengths, clipping=clipping)
        *_, chosen = min(side_by_side(few, candidates, threads=threads), key=itemgetter(0))
        tried.append(probe_one(chosen, config.regularisation_strengths, clipping))
    least, spread, *_ = min(tried, key=itemgetter(0))
    most = least + max(spread, LEAST_GAIN * float(wanted.var()))
    return next((predicted, name) for error, _, predicted, name in tried if error <= most)
