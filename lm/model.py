"""The language model of codes: a GPT and the format of its codes; scoring, states, generating, saving and loading."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal, overload

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lm.gpt import (
    GPT,
    CachedGPT,
    CodeSampling,
    GPTConfig,
    continue_codes,
    create_gpt,
    require_evaluation,
    stream_codes,
)
from lm.probing.vectors import RESIDUAL, VECTORS, States, StatesOfBatch, VectorConfig, pool_states
from lm.tokens import CodeSequences, Vocabulary, Window, loss, validation_batches, windows
from tokenizer.codes import (
    Codes,
    CodesFormat,
    join_codes,
    require_codes,
    require_same_codebook,
    row_lengths,
)
from wordless.base import saved_models
from wordless.base.arrays import FloatArray, IntArray
from wordless.base.devices import copy_to, exact, require_device
from wordless.base.messages import InputError, escape_markdown, require, samples_to_generate
from wordless.base.saved_models import holds_rates
from wordless.base.seeds import require_seed

LOOK_AHEAD = 1  # code, of an upsampler


@dataclass(frozen=True, kw_only=True)
class Saved:
    """The content of ``config.json``."""

    gpt: GPTConfig
    codes: CodesFormat
    look_ahead: int = LOOK_AHEAD  # of an upsampler
    pitch: dict[str, object] | None = None  # `lm.pitch.PitchHead`; None: the codes have no pitch
    began_at: str | None = None
    weights_sha256: str

    def __post_init__(self) -> None:
        if self.pitch is not None:
            require(self.codes.pitch is not None, "pitch", "given", "the codes have no stream of pitch")
        else:
            require(self.codes.pitch is None, "pitch", "missing", "the codes have a stream of pitch")


class LanguageModel(nn.Module):
    """A GPT and the format of the codes that it was trained on; codes of another codebook are refused.

    It is a module of PyTorch in evaluation mode, which scores and generates. For training, call ``train()``, and
    descend `loss`. Messages call the model by its ``name``. `lm.rates` and `lm.pitch` have models of codes at several
    rates, and of codes with side streams: they override what is different.
    """

    def __init__(self, gpt: GPT, codes_format: CodesFormat, *, name: str = "the language model") -> None:
        super().__init__()
        self.gpt = gpt
        self.format = codes_format  # of the codes that the model takes and gives
        self.predicted = codes_format  # of the codes that the GPT predicts
        self.name = name
        self.began_at: str | None = None  # SHA-256 of the weights that training began with; None: random weights
        self.eval()

    @staticmethod
    def create(
        config: GPTConfig, codes_format: CodesFormat, *, seed: int, look_ahead: int = LOOK_AHEAD
    ) -> "LanguageModel":
        """Create an untrained model; of several rates, an upsampler to the last one.

        An upsampler reads ``look_ahead`` codes after the covering one of each coarser rate.
        """
        kind = _class_of(codes_format)
        return kind(kind.network(config, codes_format, look_ahead=look_ahead, seed=seed), codes_format)

    @staticmethod
    def of_rates(models: Sequence["LanguageModel"]) -> "LanguageModel":
        """Join the models of several rates, coarse to fine, to one."""
        from lm.rates import RatesModel

        return RatesModel(models)

    @staticmethod
    def from_pretrained(folder: Path | str, *, device: str = "cpu") -> "LanguageModel":
        """Load a model that `save_pretrained` wrote, from a folder or, as ``user/name``, from the Hugging Face hub."""
        folder = saved_models.model_folder(folder, saved_models.LANGUAGE_MODEL)
        name = f"the language model {folder}"
        if holds_rates(folder):
            from lm.rates import RatesModel

            return RatesModel.of_folder(folder, device=device, name=name)
        with saved_models.reading(folder, saved_models.LANGUAGE_MODEL, Saved) as saved:
            kind = _class_of(saved.codes)
            create = partial(kind.network, saved.gpt, saved.codes, look_ahead=saved.look_ahead, seed=0)
            model = kind(saved_models.load_network(create, folder, saved.weights_sha256), saved.codes, name=name)
            model.began_at = saved.began_at
            model.read_side_streams(saved)
        model.gpt.to(require_device(device))
        return model

    @classmethod
    def network(cls, config: GPTConfig, codes: CodesFormat, *, look_ahead: int, seed: int) -> GPT:
        """Build a new network for codes of a format; ``look_ahead`` is that of an upsampler."""
        return create_gpt(config, Vocabulary.of(codes.spectral), seed=seed)

    def read_side_streams(self, saved: Saved) -> None:
        """Take from a config what is learned of side streams."""

    def fit_side_streams(self, train: Sequence[Codes], validation: Sequence[Codes]) -> dict[str, float]:
        """Fit to recordings what is learned of side streams, and return its errors on others."""
        return {}

    def save_pretrained(self, folder: Path | str) -> None:
        """Write model.safetensors, README.md and, last, config.json."""
        self._save(folder, {}, gpt_card(self.gpt, self.predicted, began_at=self.began_at))

    def _save(self, folder: Path | str, more: Mapping[str, object], card: str) -> None:
        """Write the files of `save_pretrained`; the config says ``more`` of a model of another kind."""
        config = {"gpt": asdict(self.gpt.config), "codes": self.format.as_dict(), **more}
        if self.began_at is not None:
            config["began_at"] = self.began_at
        saved_models.write_model(Path(folder).expanduser(), self.gpt, config, card=card)

    @property
    def positions_per_step(self) -> int:
        """Positions of the GPT for each time step of the codes that it predicts."""
        return self.gpt.config.positions_per_step(self.predicted.streams)

    @property
    def capacity(self) -> int:
        """Time steps that the GPT reads at once; longer recordings are read in windows of so many."""
        return self.gpt.capacity

    @property
    def codebook_size(self) -> int:
        """Number of different codes."""
        return self.format.codebook_size

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz of the sound that the codes stand for."""
        return self.format.sample_rate

    # Training

    def forward(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the logits of each code, given the codes before it.

        Begin-of-sequence is read before the first code. So ``logits[:, t, s]`` are of ``codes[:, t, s]``: nothing is to
        be shifted.

        Args:
            codes: ``(batch, time, streams)``, integers, at most `capacity` time steps. Side streams may be there, and
                are not read. Tensors on the CPU are checked without waiting for a GPU.
            mask: ``(batch, time)``, true (or 1) for codes, and false (or 0) for the padding that ends shorter rows.
                None: all rows have the same length.

        Returns:
            ``(batch, time, streams, codebook_size)``, of the streams of the spectrum. Logits of padding mean nothing.
            A model of several rates gives those of the finest rate, whose time steps are counted.

        Raises:
            InputError: the shape, a code or the mask is not of this model.
        """
        rows = self._rows(codes, mask)
        lengths = [len(self.own(row)) for row in rows]
        if max(lengths, default=0) > self.capacity:
            rule = f"the model reads at most {self.capacity} at once: cut them, or give Codes to loss or logits"
            raise InputError(option="time steps of the codes", value=max(lengths), rule=rule)
        read = [
            self.reader(row)(Window(start=0, counted=0, stop=length)) for row, length in zip(rows, lengths, strict=True)
        ]
        found = torch.zeros(len(rows), 0, *self.predicted.code_shape, device=self.gpt.device)
        if max(lengths, default=0):
            found = self._by_step(self.gpt(_padded(read)[:, :-1]))
        steps = codes.shape[1] * self.format.samples_per_code // self.predicted.samples_per_code
        return nn.functional.pad(found, (0, 0, 0, 0, 0, steps - found.shape[1]))  # where no row is so long

    def logits(self, codes: Codes) -> Tensor:
        """Compute the logits of each code of a recording of any length, given the codes before it.

        They are ``(time, streams, codebook_size)``, of the streams of the spectrum, and have gradients. Those of the
        code ``[t, s]`` are ``logits[t, s]``. Recordings longer than `capacity` are read in windows that overlap.
        """
        inputs = self.reader(codes)
        found = [torch.zeros(0, *self.predicted.code_shape, device=self.gpt.device)]
        for window in windows(len(self.own(codes)), self.capacity):
            logits = self._by_step(self.gpt(inputs(window)[None, :-1]))[0]
            found.append(logits[window.counted - window.start :])
        return torch.cat(found)

    def loss(self, codes: Codes | Sequence[Codes] | Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the mean negative log-probability of a code in nats, with gradients: cross entropy.

        ``codes`` are those of a recording or of several, of any length, or a tensor with its ``mask``, as `forward`
        takes them. Each code counts once; padding does not. Models of several rates learn the finest one.
        """
        if isinstance(codes, Tensor):
            clips = self._rows(codes, mask)
        else:
            require(mask is None, "mask", "given", "only a tensor has one: recordings know their lengths")
            clips = [codes] if isinstance(codes, Codes) else [*codes]
        sequences = CodeSequences(views=[[self.rows(clip)] for clip in clips])
        count = sum(len(windows(length, self.capacity)) for length in sequences.lengths.tolist())
        (batch,) = validation_batches(sequences, self.gpt.vocabulary, batch_size=count, capacity=self.capacity)
        nats, number = loss(self.gpt, batch.to(self.gpt.device))
        return nats / number

    def _by_step(self, logits: Tensor) -> Tensor:
        """Divide logits by time steps: ``(batch, time * streams, codes)`` -> ``(batch, time, streams, codes)``."""
        return logits.reshape(len(logits), -1, self.predicted.streams, logits.shape[2])

    def _rows(self, codes: Tensor, mask: Tensor | None) -> list[Codes]:
        """Return the rows of a tensor ``(batch, time, streams)`` without their padding; refuse others."""
        own = self.format if codes.shape[-1:] == (self.format.streams,) else self.format.spectral
        if codes.ndim != 3 or codes.is_floating_point() or codes.shape[2] != own.streams:
            known = " or ".join(
                str(each) for each in dict.fromkeys((self.format.spectral_streams, self.format.streams))
            )
            sides = "".join(f", {each.name}" for each in self.format.side_streams)
            rule = f"{self.name} reads integers (batch, time, {known}): streams of codes{sides}"
            raise InputError(option="codes", value=f"{codes.dtype} {(*codes.shape,)}", rule=rule)
        values, lengths = codes.detach().cpu(), row_lengths(mask, (len(codes), codes.shape[1]))
        size = own.samples_per_code
        return [
            Codes(values=row[:length].numpy().astype(np.int32), num_samples=length * size, format=own)
            for row, length in zip(values, lengths, strict=True)
        ]

    # Continuations

    @overload
    def generate(
        self,
        prompt: Codes | None = None,
        *,
        seconds: float,
        num_samples: None = None,
        temperature: float = 1.0,
        top_k: int = 0,
        seed: int = 0,
    ) -> Codes: ...

    @overload
    def generate(
        self,
        prompt: Codes | None = None,
        *,
        seconds: float,
        num_samples: int,
        temperature: float = 1.0,
        top_k: int = 0,
        seed: int = 0,
    ) -> list[Codes]: ...

    def generate(
        self,
        prompt: Codes | None = None,
        *,
        seconds: float,
        num_samples: int | None = None,
        temperature: float = 1.0,
        top_k: int = 0,
        seed: int = 0,
    ) -> Codes | list[Codes]:
        """Generate a continuation, without the prompt; with no prompt, a recording from its beginning.

        Args:
            prompt: codes of this model's codebook; only whole time steps are read.
            seconds: length of the continuation.
            num_samples: number of continuations, which are returned as a list; None: one, without a list.
            temperature: divides the logits; 0 takes the most probable code each time.
            top_k: draws among the most probable codes only; 0: among all.
            seed: of the draws; the same seed gives the same codes.

        Raises:
            InputError: the codes are of another codebook, or a number is out of its range.
        """
        found = self.generate_batch(
            [prompt],
            seconds=seconds,
            num_samples=1 if num_samples is None else num_samples,
            temperature=temperature,
            top_k=top_k,
            seed=seed,
        )
        return found[0] if num_samples is None else found

    def generate_batch(
        self,
        prompts: Sequence[Codes | None],
        *,
        seconds: float,
        num_samples: int = 1,
        temperature: float = 1.0,
        top_k: int = 0,
        seed: int = 0,
        sampling: CodeSampling | None = None,
    ) -> list[Codes]:
        """Generate ``num_samples`` continuations of each prompt, without the prompts; for the options see `generate`.

        Those of a prompt follow each other. Number ``i`` of all depends on the whole time steps of its prompt, the seed
        and ``i`` alone. ``sampling`` is temperature and top-k as one value, in their place.
        """
        length, sampling = self._samples(seconds, seed), _sampling(temperature, top_k, sampling)
        require(num_samples >= 1, "num_samples", num_samples, "ask for 1 continuation or more of each prompt")
        if isinstance(prompts, Codes):
            raise InputError("prompts is of type Codes; give a list of them, or one to generate(...)")
        every = [prompt for prompt in prompts for _ in range(num_samples)]
        return self._continue(every, length, sampling, seed) if every else []

    def stream(
        self,
        prompt: Codes | None = None,
        *,
        seconds: float,
        temperature: float = 1.0,
        top_k: int = 0,
        seed: int = 0,
        sampling: CodeSampling | None = None,
    ) -> Iterator[Codes]:
        """Give the continuation of `generate` by time steps; ``sampling`` is that of `generate_batch`."""
        sampling = _sampling(temperature, top_k, sampling)
        yield from self._stream(prompt, self._samples(seconds, seed), sampling, seed)

    def _continue(
        self, prompts: Sequence[Codes | None], num_samples: int, sampling: CodeSampling, seed: int
    ) -> list[Codes]:
        """Generate the continuations of `generate_batch`."""
        continued = continue_codes(
            CachedGPT(self.gpt),
            [self._prompt(prompt) for prompt in prompts],
            steps=self.predicted.steps(num_samples),
            sampling=sampling,
            seeds=[(seed, number) for number in range(len(prompts))],
        )
        return [Codes(values=values, num_samples=num_samples, format=self.predicted) for values in continued]

    def _stream(self, prompt: Codes | None, num_samples: int, sampling: CodeSampling, seed: int) -> Iterator[Codes]:
        """Give the time steps of `stream`."""
        left = num_samples
        steps, cached = self.predicted.steps(left), CachedGPT(self.gpt)
        for values in stream_codes(cached, self._prompt(prompt), steps=steps, sampling=sampling, seed=(seed, 0)):
            samples = min(left, self.predicted.samples_per_code)
            yield Codes(values=values, num_samples=samples, format=self.predicted)
            left -= samples

    def _samples(self, seconds: float, seed: int) -> int:
        """Return the samples to generate; refuse a length or a seed that there is not."""
        num_samples = samples_to_generate(seconds, self.format.sample_rate)
        require_seed(seed, "seed")
        return num_samples

    def _prompt(self, prompt: Codes | None) -> IntArray:
        """Return the whole time steps of a prompt ``(time, streams)``."""
        if prompt is None:
            return np.zeros((0, self.predicted.streams), np.int32)
        require_codes(prompt, "codes")
        return self.own(self._whole(prompt)).values

    def _whole(self, prompt: Codes) -> Codes:
        """Return the whole time steps of a prompt: the padding of the last one is not sound."""
        return prompt.crop(0, prompt.num_samples // self.format.samples_per_code)

    # Reading

    def require_own(self, codes: Codes) -> None:
        """Refuse codes of another codebook."""
        require_codes(codes, "codes")
        require_same_codebook(self.format, codes.format, owner=self.name)

    def own(self, codes: Codes) -> Codes:
        """Return the part of a recording's codes that the GPT predicts; refuse codes of another codebook."""
        self.require_own(codes)
        return codes

    def rows(self, codes: Codes) -> IntArray:
        """Return the rows of `lm.tokens.CodeSequences`."""
        return self.own(codes).values

    def reader(self, codes: Codes) -> Callable[[Window], Tensor]:
        """Return a function that gives begin-of-sequence and tokens of a window of the codes ``(1 + codes,)``."""
        values = self.own(codes).values
        return lambda window: self.tokens(values[window.start : window.stop])

    def tokens(self, values: IntArray) -> Tensor:
        """Convert codes ``(time, streams)`` to begin-of-sequence and tokens ``(1 + time * streams,)``.

        Codes have the streams of the spectrum alone; `reader` reads `Codes`.
        """
        vocabulary = self.gpt.vocabulary
        return copy_to(torch.from_numpy(np.append(vocabulary.bos, vocabulary.tokens(values))), self.gpt.device)

    # States

    @torch.no_grad()
    @exact
    def hidden_states(self, codes: Codes, layers: int | Sequence[int] | None = None, *, first: int = 0) -> Tensor:
        """Compute the states of some layers (0: embeddings; None: all) ``(layers, time * streams, model_dim)``.

        The states of one layer, such as ``layers=2``, are ``(time * streams, model_dim)``. State ``p`` has read all
        codes up to ``p``; with parallel streams, all codes of its time step. Windows that end before time step
        ``first`` are left out.
        """
        chosen, dim = self._layers(layers), self.gpt.config.model_dim
        found = [torch.zeros(len(chosen), 0, dim, device=self.gpt.device, dtype=torch.float32)]
        found += [states for _, states in self._states_of_layers([codes], chosen, first=first)]
        whole = torch.cat(found, dim=1)
        return whole[0] if isinstance(layers, int | np.integer) else whole

    @torch.no_grad()
    @exact
    def hidden_states_batch(
        self, recordings: Sequence[Codes], layers: int | Sequence[int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute the states of `hidden_states` of several recordings of any lengths together.

        Other companions change only the rounding. Embeddings are layer 0, and None chooses all layers.

        Returns:
            ``(layers, batch, time * streams, model_dim)``, or without the first dimension if ``layers`` is a number,
            with zeros after the end of shorter recordings; and a mask ``(batch, time * streams)``, true for states.
        """
        if isinstance(recordings, Codes):
            raise InputError("recordings is of type Codes; give a list of them, or one to hidden_states(...)")
        chosen, dim, device = self._layers(layers), self.gpt.config.model_dim, self.gpt.device
        lengths = [len(self.own(each)) * self.predicted.streams for each in recordings]
        size = (len(chosen), len(lengths), max(lengths, default=0), dim)
        found, filled = torch.zeros(size, device=device, dtype=torch.float32), [0] * len(lengths)
        for row, states in self._states_of_layers(recordings, chosen):
            begin, end = filled[row], filled[row] + states.shape[1]
            found[:, row, begin:end], filled[row] = states, end
        mask = torch.arange(size[2], device=device) < torch.tensor(lengths, device=device)[:, None]
        return found[0] if isinstance(layers, int | np.integer) else found, mask

    def _layers(self, layers: int | Sequence[int] | None) -> Sequence[int]:
        """Return the numbers of layers; refuse others."""
        last = self.gpt.config.layers
        chosen = range(1 + last) if layers is None else [layers] if isinstance(layers, int | np.integer) else layers
        for layer in chosen:
            require(0 <= layer <= last, "layers", layer, f"choose 0 (embeddings) to {last}")
        return chosen

    def _states_of_layers(
        self, recordings: Sequence[Codes], layers: Sequence[int], *, first: int = 0
    ) -> Iterator[tuple[int, Tensor]]:
        """Give the number of a recording, and its next states ``(layers, codes, model_dim)``."""
        repeated = self.predicted.streams if self.gpt.by_step else 1
        for places, states in self.states(recordings, of=("embeddings", "residual"), first=first):
            wanted = torch.stack([states[f"layer_{layer}"][0] for layer in layers])  # (layers, batch, positions, dim)
            for row, ((number, begin), end) in enumerate(zip(places, states["layer_0"][1].tolist(), strict=True)):
                yield number, wanted[:, row, begin:end].repeat_interleave(repeated, 1)

    @torch.no_grad()
    @exact
    def states(
        self,
        recordings: Sequence[Codes],
        *,
        of: Collection[States | Literal["embeddings"]] = RESIDUAL,
        batch_tokens: int = 8192,
        first: int = 0,
    ) -> Iterator[StatesOfBatch]:
        """Read recordings in windows, and give their `GPT.states` for `lm.probing.vectors.pool_states`.

        Windows of similar length share a batch of at most ``batch_tokens`` tokens (or one window). Those of a recording
        come in order; those that end before time step ``first`` are left out.
        """
        require_evaluation(self.gpt)
        read = [self.reader(each) for each in recordings]
        passages = [
            (row, window)
            for row, each in enumerate(recordings)
            for window in windows(len(self.own(each)), self.gpt.capacity)
            if window.stop > first
        ]
        passages.sort(key=lambda passage: passage[1].start - passage[1].stop)  # the long ones first
        per_step = self.positions_per_step
        while passages:
            longest = passages[0][1]
            most = max(batch_tokens // (1 + (longest.stop - longest.start) * self.predicted.streams), 1)
            batch, passages = passages[:most], passages[most:]
            ends = torch.tensor([1 + (own.stop - own.start) * per_step for _, own in batch])
            places = [(row, 1 + (own.counted - own.start) * per_step) for row, own in batch]
            states = self.gpt.states(_padded([read[row](window) for row, window in batch]), of=of)
            yield places, {name: (each, ends) for name, each in states.items()}

    # Probabilities

    @torch.no_grad()
    @exact
    def log_probabilities(self, codes: Codes) -> FloatArray:
        """Compute the log-probability of each code, given the codes before it: ``(time, streams)``.

        `generate` draws from this distribution with the default sampling options.
        """
        require_evaluation(self.gpt)
        inputs, own = self.reader(codes), self.own(codes).values
        found: FloatArray = np.zeros(own.shape, np.float32)
        for window in windows(len(own), self.gpt.capacity):
            (logits,) = self.gpt(inputs(window)[None, :-1]).float().log_softmax(-1)  # (codes, codebook)
            values = torch.from_numpy(own[window.start : window.stop].reshape(-1).astype(np.int64))
            chosen = logits.gather(1, values.to(logits.device)[:, None]).cpu().numpy()
            steps = chosen.reshape(-1, self.predicted.streams)
            found[window.counted : window.stop] = steps[window.counted - window.start :]
        return found

    @torch.no_grad()
    @exact
    def log_probabilities_batch(self, clips: Sequence[Codes], *, batch_tokens: int = 2048) -> list[FloatArray]:
        """Compute `log_probabilities` of each clip, in batches of windows of similar length; last bits may differ."""
        require_evaluation(self.gpt)
        inputs, own = [self.reader(codes) for codes in clips], [self.own(codes).values for codes in clips]
        found: list[FloatArray] = [np.zeros(values.shape, np.float32) for values in own]
        passages = [
            (row, window) for row, values in enumerate(own) for window in windows(len(values), self.gpt.capacity)
        ]
        passages.sort(key=lambda passage: passage[1].start - passage[1].stop)  # the long ones first
        while passages:
            longest = passages[0][1]
            most = max(batch_tokens // (1 + (longest.stop - longest.start) * self.predicted.streams), 1)
            batch, passages = passages[:most], passages[most:]
            logits = self.gpt(_padded([inputs[row](window) for row, window in batch])[:, :-1]).float().log_softmax(-1)
            for (row, window), each in zip(batch, logits, strict=True):
                values = torch.from_numpy(own[row][window.start : window.stop].reshape(-1).astype(np.int64))
                chosen = each[: len(values)].gather(1, values.to(each.device)[:, None]).cpu().numpy()
                steps = chosen.reshape(-1, self.predicted.streams)
                found[row][window.counted : window.stop] = steps[window.counted - window.start :]
        return found

    def log_probabilities_after(self, prompt: Codes | None, codes: Codes) -> FloatArray:
        """Compute the log-probability of each code of a continuation, given the prompt: ``(time, streams)``."""
        more = self.own(codes)
        whole = more if prompt is None else join_codes(self.own(prompt), more)
        return self.log_probabilities(whole)[len(whole) - len(more) :]

    @torch.no_grad()
    @exact
    def nats_per_code(self, clips: Sequence[Codes], *, batch_size: int = 16) -> float:
        """Compute the mean negative log-probability over all codes of a list of clips, in nats."""
        require_evaluation(self.gpt)
        if isinstance(clips, Codes) or not clips:
            raise InputError("clips must be a list with codes of one clip or several, such as [codes]")
        sequences = CodeSequences(views=[[self.rows(codes)] for codes in clips])
        batches = validation_batches(sequences, self.gpt.vocabulary, batch_size=batch_size, capacity=self.gpt.capacity)
        total = torch.zeros((), dtype=torch.float64, device=self.gpt.device)
        for batch in batches:
            total += loss(self.gpt, batch.to(self.gpt.device))[0].double()
        return float(total) / sum(self.own(codes).values.size for codes in clips)

    def perplexity(self, clips: Sequence[Codes], *, batch_size: int = 16) -> float:
        """Compute the perplexity, exp(nats per code): the number of equally probable codes of the same entropy."""
        return math.exp(self.nats_per_code(clips, batch_size=batch_size))


def _class_of(codes: CodesFormat) -> type[LanguageModel]:
    """Return the class of the models of codes. Subclasses are imported here, because their files import this one."""
    from lm.pitch import WithStreams
    from lm.rates import Upsampler

    if codes.rates:
        return Upsampler
    return WithStreams if codes.side_streams else LanguageModel


def _sampling(temperature: float, top_k: int, sampling: CodeSampling | None) -> CodeSampling:
    """Return the options of sampling, which are given alone or as one value."""
    alone = CodeSampling(temperature=temperature, top_k=top_k)
    if sampling is None:
        return alone
    require(alone == CodeSampling(), "sampling", "given", "it holds temperature and top_k: leave them out")
    return sampling


def _padded(rows: Sequence[Tensor]) -> Tensor:
    """Join the rows ``(positions, ...)`` of a batch; no position sees those that follow, so any code may fill them."""
    return pad_sequence([*rows], batch_first=True)


def layer_features(
    model: LanguageModel,
    clips: Sequence[Codes],
    *,
    of: Collection[States] = RESIDUAL,
    vectors: VectorConfig = VECTORS,
    batch_tokens: int = 8192,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, FloatArray]:
    """Compute ``(clips, dim)`` of each layer and pooling; ``progress`` hears of the windows that are read.

    ``of`` names the states to pool: ``residual``, those between layers (``layer_1:mean``, and ``all_layers:mean`` side
    by side), and ``inner``, the inner activations. Embeddings are left out, because pooled they are a bag of codes.
    """
    read, lengths = model.states(clips, of=of, batch_tokens=batch_tokens), [len(model.own(each)) for each in clips]
    steps = [[length] * len({*of}) * model.gpt.config.layers for length in lengths]
    total = sum(len(windows(length, model.gpt.capacity)) for length in lengths)
    told = _telling(read, total, progress)
    rows = pool_states(told, steps, vectors.poolings, states_per_step=model.positions_per_step)
    pooled = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    found: dict[str, FloatArray] = {}
    for states, layer, together in (("residual", "layer", "all_layers"), ("inner", "inner", "all_inner")):
        if states in of:
            found |= vectors.select(pooled, layer=layer, together=together)
    return found


def _telling(
    read: Iterable[StatesOfBatch], total: int, progress: Callable[[int, int], None]
) -> Iterator[StatesOfBatch]:
    done = 0
    for places, states in read:
        yield places, states
        progress(done := done + len(places), total)


_USE = """
import wordless

model = wordless.LanguageModel.from_pretrained("path/of/this/folder")
more = model.generate(codes, seconds=3)  # codes: what the tokenizer of this codebook made of a recording
"""
_NOTE = (
    "It knows only the sounds that it was trained on, and may continue a voice: say so wherever what it makes is "
    "published."
)
_GPT = "A decoder-only transformer that continues recordings as discrete codes, without text."


def gpt_card(gpt: GPT, codes_format: CodesFormat, *, began_at: str | None = None) -> str:
    """Write a model's sizes, codebook and use; its training began at weights with the SHA-256 ``began_at``."""
    rows = gpt_rows(gpt, codes_format)
    if began_at is not None:
        rows["training began at the weights with the SHA-256"] = f"`{began_at[:16]}`"
    return card("Unit language model", _GPT, rows, codes_format)


def gpt_rows(gpt: GPT, codes_format: CodesFormat) -> dict[str, str]:
    """Return the rows of a card: a GPT's sizes, and the codes that it predicts."""
    config, own, rate = gpt.config, codes_format, codes_format.codes_per_second
    return {
        "parameters": f"{sum(parameter.numel() for parameter in gpt.parameters()):,}",
        "layers, width, heads": f"{config.layers}, {config.model_dim}, {config.heads}",
        "context": f"{config.context} positions ({config.interleaving}): {gpt.capacity / rate:.1f} s",
        "codebook": f"{own.codebook_size} codes x {own.streams} stream(s), {rate:g} time steps per second",
    }


def card(title: str, about: str, rows: Mapping[str, str], codes: CodesFormat) -> str:
    """Write a card; the model belongs to the codebooks of a format, and codes of others are refused."""
    prints = {"tokenizer": codes.tokenizer, "codebook; codes of others are refused": codes.codebook}
    last = {f"fingerprint of the {of}": f"`{escape_markdown(each)}`" for of, each in prints.items()}
    return saved_models.model_card(title, about, {**rows, **last}, _USE, tags="unit-language-model", note=_NOTE)
