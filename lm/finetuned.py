"""A fine-tuned model, a backbone with a head: its network and loss, predictions for recordings, and its folder.

`lm/layer_reader.py` reads the states of all layers of a backbone, fine-tuned or not, for probes.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lm.backbones.audio_transformer import AudioTransformerBackbone
from lm.backbones.backbone import Backbone, BackboneNetwork, BackboneReading, FrontEnd
from lm.backbones.clips import LabelledBatch, StoredClips, batches_by_length
from lm.backbones.code_gpt import GptBackbone
from lm.backbones.convolutional import ConvBackbone
from lm.backbones.spectrogram_transformer import AstBackbone
from lm.backbones.wav2vec2 import Wav2vec2Backbone
from lm.finetuning import FrozenLayers, HeadOptions
from lm.heads import ClassificationTask, PredictionRow, RegressionTask, SequenceTask, Task
from lm.probing.vectors import Frames
from lm.tokens import windows
from wordless.audio.audio_options import Channel
from wordless.audio.levels import trim_ends
from wordless.audio.waveform import Waveform
from wordless.base.arrays import FloatArray
from wordless.base.devices import copy_to, exact
from wordless.base.files import replace_folder
from wordless.base.messages import InputError, counted, escape_markdown
from wordless.base.options import build, match_choice
from wordless.base.saved_models import FINE_TUNED, load_network, model_card, model_folder, reading, write_model

_HEADS: dict[str, type[Task]] = {each.name: each for each in (ClassificationTask, RegressionTask, SequenceTask)}


# The backbones of models that are loaded without naming the backbone's class.
BACKBONE_CLASSES: dict[str, type[Backbone]] = {
    each.name: each for each in (GptBackbone, AstBackbone, Wav2vec2Backbone, AudioTransformerBackbone, ConvBackbone)
}


def create_task(options: HeadOptions, train: Sequence[str], held_out: Sequence[str]) -> Task:
    """Make the task from the labels of the training clips; refuse those of others if they cannot be predicted."""
    of: Callable[[Any, Sequence[str], Sequence[str]], Task] = _HEADS[options.name].of
    return of(options, train, held_out)


def read_states(
    network: Callable[[Tensor, Tensor], Frames], reading: BackboneReading, inputs: Tensor, lengths: Tensor
) -> Frames:
    """Compute the states ``(batch, states, dim)`` of whole clips, and the number of states of each ``(batch,)``.

    Lengths ``(batch,)`` of inputs ``(batch, time, ...)`` are on the host. Clips of more states than a window are read
    in windows: each state is computed once, with at least half a window before it.
    """
    counts = reading.states_of(lengths)
    longest = int(counts.max())
    if longest <= reading.window:
        return network(inputs, lengths)
    parts: list[Tensor] = []
    for window in windows(longest, reading.window):
        rows = (counts > window.counted).nonzero()[:, 0]  # clips that end earlier have no state here
        first, end = window.start * reading.inputs_per_state, reading.num_inputs(window.stop)
        ends = (lengths[rows] - first).clamp(max=end - first)
        rows = copy_to(rows, inputs.device)
        found = network(inputs[rows, first:end], ends)[0][:, window.counted - window.start :]
        empty = found.new_zeros(len(inputs), window.stop - window.counted, found.shape[2])
        padded = nn.functional.pad(found, (0, 0, 0, empty.shape[1] - found.shape[1]))
        parts.append(empty.index_copy(0, rows, padded))
    return torch.cat(parts, dim=1), counts


class FineTunedNetwork(nn.Module):
    """A backbone and a head. Frozen layers stay in evaluation mode: they have no dropout in training either."""

    def __init__(self, backbone: BackboneNetwork, head: nn.Module, reading: BackboneReading) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.reading = reading

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map inputs ``(batch, time, ...)`` of lengths ``(batch,)`` to ``(batch, steps, width)`` and their lengths."""
        outputs, steps = self.head(*read_states(self.backbone, self.reading, inputs, lengths))
        return outputs, steps

    def train(self, mode: bool = True) -> "FineTunedNetwork":
        super().train(mode)
        for part in (self.backbone, *self.backbone.stack):
            if not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()
        return self


def freeze(network: BackboneNetwork, count: FrozenLayers) -> None:
    """Keep the weights of the first ``count`` layers and of what embeds the inputs; ``inputs``: of the latter."""
    layers = len(network.stack) - 1
    if count == "all":
        network.requires_grad_(False)
    elif count == "inputs":
        network.stack[0].requires_grad_(False)
    elif count > layers:
        raise InputError(
            f"backbone.frozen_layers is {count}, and the backbone has {counted(layers, 'layer')}; choose 0 to "
            f"{layers}, or all"
        )
    elif count:
        for layer in network.stack[: 1 + count]:
            layer.requires_grad_(False)


def create_network(backbone: Backbone, network: BackboneNetwork, task: Task, *, seed: int) -> FineTunedNetwork:
    """Put a head on the network of a backbone; the head's weights follow from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = task.create(backbone.reading.dim, states_per_second=backbone.reading.states_per_second)
    return FineTunedNetwork(network, head, backbone.reading).float()  # whatever PyTorch's default type is


def task_loss(model: nn.Module, batch: LabelledBatch, *, task: Task) -> tuple[Tensor, int]:
    """Compute the loss of a task for the training loop."""
    outputs, steps = model(batch.inputs, batch.lengths)
    return task.loss(outputs.float(), steps, batch.targets, training=model.training)


_USE = """
import wordless
from lm.finetuned import FineTunedModel

model = FineTunedModel.from_pretrained("path/of/this/folder")
rows = model.predict([wordless.read("a.wav", {rate})])  # a row of a table for each sound
"""
_NOTE = (
    "`wordless predict model=FOLDER input=RECORDINGS output=table.tsv` writes the table for a folder of recordings. "
    "The model knows only labels and recordings like those that it was trained on."
)


CLIPS_AT_ONCE = 32  # whose outputs are computed together
_VALUES_AT_ONCE = 1 << 24  # of their inputs, or of the states of a layer, with padding


@dataclass(frozen=True, kw_only=True)
class _Saved:
    """The content of ``config.json``."""

    backbone: str  # its name in the table
    backbone_config: dict[str, object]
    head: str
    task: dict[str, object]
    weights_sha256: str
    trim_db: float | None = None  # at which silent ends of its clips were cut off; None: they were not
    channel: Channel = "mean"


class FineTunedModel:
    """A backbone with a head, trained on labels."""

    def __init__(
        self, network: FineTunedNetwork, backbone: Backbone, task: Task, *, trim_db: float | None = None
    ) -> None:
        self.network = network.eval()
        self.backbone = backbone
        self.task = task
        self.trim_db = trim_db  # corpus.inspection.trim_db of its clips; None: their ends were not trimmed
        self.channel: Channel = "mean"  # of the recordings that it was trained on
        self.folder: Path | None = None  # that the model was loaded from; it holds what the front end reads

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        *,
        backbone: type[Backbone] | None = None,
        device: str = "cpu",
    ) -> "FineTunedModel":
        """Load a model that `save_pretrained` wrote, from a folder or, as ``user/name``, from the Hugging Face hub.

        ``backbone`` is the class of its backbone, by default that of `BACKBONE_CLASSES` with its name.
        """
        backbones = BACKBONE_CLASSES if backbone is None else {backbone.name: backbone}
        folder = model_folder(folder, FINE_TUNED)
        with reading(folder, FINE_TUNED, _Saved) as saved:
            match_choice((*backbones,), saved.backbone, option="backbone")
            match_choice((*_HEADS,), saved.head, option="head")
            described = build(backbones[saved.backbone], saved.backbone_config, name="backbone_config")
            task = build(_HEADS[saved.head], saved.task, name="task")

            def create() -> FineTunedNetwork:
                return create_network(described, described.create(seed=0), task, seed=0)

            network = load_network(create, folder, saved.weights_sha256)
        model = cls(network.to(device), described, task, trim_db=saved.trim_db)
        model.channel = saved.channel
        model.folder = folder
        return model

    def save_pretrained(self, folder: Path | str, *, front_end: Path) -> None:
        """Write the model, what it reads of the folder ``front_end`` and, last, config.json: then it is complete."""
        folder = Path(folder).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        for part in self.backbone.parts:
            replace_folder(folder / part, front_end / part)
        cut = f"cut off where they are more than {self.trim_db or 0:g} dB below the loudest 20 ms"
        head, rate = self.task.name, self.backbone.reading.sample_rate
        facts = {
            "parameters": f"{sum(parameter.numel() for parameter in self.network.parameters()):,}",
            "sample rate": f"{rate} Hz",
            "states per second": f"{self.backbone.reading.states_per_second:g}",
            "learned": escape_markdown(self.task.summary),
            "silent ends": "kept" if self.trim_db is None else cut,
        }
        about_backbone = f"A backbone that gives states over time to a recording ({self.backbone.title})"
        about, use = f"{about_backbone}, and a head that predicts labels from them ({head}).", _USE.format(rate=rate)
        card = model_card(f"Fine-tuned model: {head}", about, facts, use, tags=head, note=_NOTE)
        self.write(folder, card=card, trim_db=self.trim_db, channel=self.channel)

    def write(self, folder: Path, *, card: str | None = None, **recordings: object) -> None:
        """Write model.safetensors and, last, config.json, with what is said of the ``recordings`` that can be read."""
        config = {
            "backbone": self.backbone.name,
            "backbone_config": asdict(self.backbone),
            "head": self.task.name,
            "task": asdict(self.task),
            **recordings,
        }
        write_model(folder, self.network, config, card=card)

    def predict(self, sounds: Sequence[Waveform]) -> list[PredictionRow]:
        """Predict a row of a table for each sound at the model's rate; refuse other rates, and sounds too short.

        Silent ends are cut off as those of the training clips, here by the levels at the model's rate.
        """
        front_end, rate = self.front_end(), self.backbone.reading.sample_rate
        if self.trim_db is not None:
            sounds = [trim_ends(sound, self.trim_db) for sound in sounds]
        for sound in sounds:
            if sound.sample_rate != rate:
                raise InputError(f"a sound has {sound.sample_rate} Hz; read it at the model's rate, {rate} Hz")
            if (samples := len(sound.samples)) < (least := self.backbone.reading.least_samples):
                short = f"a sound has {samples} samples, fewer than the {least} of a state"
                raise InputError(f"{short} ({1000 * least / rate:g} ms); leave it out")
        inputs = [front_end([sound.samples]) for sound in sounds]
        return self.task.rows(self.outputs(StoredClips.together(inputs)))

    def front_end(self) -> FrontEnd:
        if self.folder is None:
            raise InputError("this model has no folder with its front end; load it with from_pretrained")
        return self.backbone.front_end(self.folder, device=str(self.device))

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @torch.no_grad()
    @exact
    def outputs(self, clips: StoredClips) -> list[FloatArray]:
        """Compute the outputs ``(steps, width)`` of each clip."""
        found: dict[int, FloatArray] = {}
        reading = self.backbone.reading
        of_states = reading.dim * reading.states_per_second / reading.inputs_per_second  # values for each input
        most = int(_VALUES_AT_ONCE / max(clips.width, of_states))
        for rows, inputs, lengths in batches_by_length(clips, batch_size=CLIPS_AT_ONCE, most_inputs=most):
            values, steps = self.network(inputs.to(self.device), lengths)
            for row, own, count in zip(rows.tolist(), values.float().cpu().numpy(), steps.tolist(), strict=True):
                found[row] = own[:count]
        return [found[row] for row in range(len(clips))]
