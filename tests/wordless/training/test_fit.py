"""The one training loop: against a loop on paper, and interrupted against never interrupted."""

import math
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.hostile.model_folders import PlantedCode
from tests.reference import regression_by_adamw
from tests.wordless.training.fitting import fit_silently
from wordless.base.devices import Batch, fast_products
from wordless.base.messages import InputError
from wordless.training import MOST_STEPS, PATIENCE, REFERENCE_SECONDS, Examples, FitConfig, Point, TrainingRecord
from wordless.training.fit import (
    CheckpointError,
    Gang,
    Precision,
    choose_precision,
    read_checkpoint,
    with_precision,
    write_checkpoint,
)

CONFIG = FitConfig(steps=12, lr=0.05, warmup_steps=4, validate_every=4, clip_norm=1.0, weight_decay=0.1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs(Batch):
    """What is seen and what is to be said."""

    x: Tensor  # (batch, 3)
    y: Tensor  # (batch,)


class Slope:
    """Batches of 8 pairs on a plane with some noise, drawn anew for each step."""

    def __init__(self, *, stop_at: int | None = None) -> None:
        self.stop_at = stop_at  # raise before this step, as a kill would

    def batch(self, step: int, part: int = 0, parts: int = 1) -> Pairs:
        if step == self.stop_at:
            raise KeyboardInterrupt
        rng = np.random.default_rng([1, step])
        x = rng.normal(size=(8, 3)).astype(np.float32)
        y = (x @ np.array([1.0, -2.0, 0.5]) + 0.1 * rng.normal(size=8)).astype(np.float32)
        return Pairs(x=torch.from_numpy(x[part::parts]), y=torch.from_numpy(y[part::parts]))


def squared_error(model: nn.Module, batch: Pairs) -> tuple[Tensor, int]:
    return ((model(batch.x)[:, 0] - batch.y) ** 2).sum(), len(batch.y)


def plane() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 1, bias=False)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8, bias=False), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))


def channels_last() -> nn.Sequential:
    """AdamW's fused step reads weights and moments in the order of memory, so a resumed network needs the same one."""
    torch.manual_seed(0)
    last = nn.Conv2d(4, 4, (1, 2), padding=(0, 1)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs
    layers = (nn.Unflatten(1, (1, 1, 3)), nn.Conv2d(1, 4, (1, 2)), last, nn.Flatten(), nn.Linear(12, 1))
    return nn.Sequential(*layers)


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


HELD_OUT = [Slope().batch(step) for step in (100, 101, 102)]


def trained(
    model: nn.Module,
    config: FitConfig,
    folder: Path,
    batches: Slope | None = None,
    held_out: Sequence[Pairs] = HELD_OUT,
    points: list[Point] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> TrainingRecord:
    others = {"option": "lm.fit", "track": ([] if points is None else points).append, "say": say}
    return fit_silently(model, batches or Slope(), held_out, squared_error, config, folder, **others)


@pytest.mark.parametrize("clip_norm", [0.2, 1e9])
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
@pytest.mark.parametrize("accumulation", [1, 4])
def test_it_does_what_the_formulas_say(accumulation: int, ema_decay: float, clip_norm: float, tmp_path: Path) -> None:
    config = replace(CONFIG, accumulation=accumulation, ema_decay=ema_decay, clip_norm=clip_norm, keep="last")
    model = plane()
    start = model.weight.detach().double().numpy()[0]
    trained(model, config, tmp_path)
    pairs = [Slope().batch(step) for step in range(config.steps)]
    weights, average = regression_by_adamw(
        start,
        [(each.x.double().numpy(), each.y.double().numpy()) for each in pairs],
        [config.learning_rate(step) for step in range(config.steps)],
        weight_decay=config.weight_decay,
        clip_norm=clip_norm,
        ema_decay=ema_decay,
    )
    wanted = average if ema_decay else weights
    np.testing.assert_allclose(model.weight.detach().numpy()[0], wanted, atol=1e-6)


@given(steps=st.integers(2, 500), warmup=st.integers(0, 100), low=st.floats(0, 1), place=st.floats(0, 1))
def test_the_learning_rate_rises_in_a_line_and_falls_in_a_cosine(
    steps: int, warmup: int, low: float, place: float
) -> None:
    config = FitConfig(steps=steps, lr=0.5, warmup_steps=warmup, final_lr_ratio=low)
    step = min(int(place * steps), steps - 1)
    rate = config.learning_rate(step)
    if step < warmup:
        assert rate == pytest.approx(0.5 * (step + 1) / warmup)
    else:
        angle = math.pi * (step - warmup) / max(steps - warmup, 1)
        assert rate == pytest.approx(0.5 * (low + (1 - low) * (1 + math.cos(angle)) / 2))
        assert 0.5 * low - 1e-12 <= config.learning_rate(step + 1) <= rate + 1e-12


@pytest.mark.parametrize(("create", "stop_at"), [*((network, step) for step in (1, 5, 8, 11)), (channels_last, 6)])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_interrupted_and_resumed_is_never_interrupted(
    keep: str, create: Callable[[], nn.Module], stop_at: int, tmp_path: Path
) -> None:
    config = replace(CONFIG, ema_decay=0.9, accumulation=2, checkpoint_minutes=0.0, keep=keep)  # type: ignore[arg-type]  # plain text
    whole, halved, other = create(), create(), create()
    report = trained(whole, config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(halved, config, tmp_path / "halved", Slope(stop_at=stop_at))
    for parameter in other.parameters():
        nn.init.zeros_(parameter)  # whatever the new process begins with
    assert trained(other, config, tmp_path / "halved") == report
    assert equal(other, whole)


# Validation gets worse after some steps, as the rate is far too high.
PATIENT = replace(CONFIG, steps=60, lr=0.8, validate_every=1, warmup_steps=0, final_lr_ratio=1.0, patience=3)


def test_training_stops_when_validation_has_not_improved_for_some_time(tmp_path: Path) -> None:
    told = list[str]()
    model, longer = plane(), plane()
    record = trained(model, PATIENT, tmp_path / "patient", say=told.append)
    whole = trained(longer, replace(PATIENT, patience=None), tmp_path / "whole")
    losses = [point["validation_loss"] for point in whole["curve"]]
    best = [1 + int(np.argmin(losses[:step])) for step in range(1, len(losses) + 1)]  # after each step
    wanted = next(step for step, of in enumerate(best, 1) if step - of == PATIENT.patience)
    assert (record["steps"], record["kept_step"], record["planned"]) == (wanted, wanted - 3, PATIENT.steps)
    assert record["curve"] == whole["curve"][:wanted]
    assert "planned" not in whole
    (line,) = told
    assert f"step {wanted} of {PATIENT.steps}" in line
    assert "lm.fit.patience=3" in line
    # Whether it was stopped or killed, a training continues to the same end.
    again = plane()
    assert trained(again, PATIENT, tmp_path / "patient", Slope(stop_at=0)) == record
    assert equal(again, model)
    for stop_at in (wanted - 2, wanted - 1):
        config, place, resumed = replace(PATIENT, checkpoint_minutes=0.0), tmp_path / str(stop_at), plane()
        with pytest.raises(KeyboardInterrupt):
            trained(plane(), config, place, Slope(stop_at=stop_at))
        assert trained(resumed, config, place) == record
        assert equal(resumed, model)


def test_without_validation_clips_no_training_stops_early(tmp_path: Path) -> None:
    assert trained(plane(), PATIENT, tmp_path, held_out=())["steps"] == PATIENT.steps


@given(hours=st.floats(0.0, 1000.0), per_step=st.floats(0.1, 10.0), least=st.integers(1, 3000))
def test_steps_that_follow_read_more_recordings_as_often(hours: float, per_step: float, least: int) -> None:
    given_steps, following = FitConfig(steps=least), FitConfig(steps=least, follows=True)
    assert given_steps.followed(3600 * hours, per_step=per_step) == given_steps
    found = following.followed(3600 * hours, per_step=per_step)
    assert least <= found.steps <= MOST_STEPS
    assert found.followed(1e9) == found
    if least < found.steps < MOST_STEPS:
        assert found.steps * per_step / hours == pytest.approx(least / (REFERENCE_SECONDS / 3600), rel=1 / least)
    if found.steps == least:  # as always: a shorter training cannot stop early
        assert found.patience is None or math.ceil(least / found.validate_every) > 1 + PATIENCE


def damaged(content: bytes, how: str, folder: Path) -> bytes:
    trained(plane(), replace(CONFIG, checkpoint_minutes=0.0), folder / "plane")
    other, planted = (folder / "plane/fit.safetensors").read_bytes(), pickle.dumps(PlantedCode(folder / "marker"))
    zeros = bytes(len(content))  # a power failure may leave them
    return {"empty": b"", "a byte short": content[:-1], "zeros": zeros, "pickle": planted, "another model": other}[how]


@pytest.mark.parametrize("how", ["empty", "a byte short", "zeros", "pickle", "another model"])
def test_a_damaged_checkpoint_is_named_and_set_aside(how: str, tmp_path: Path) -> None:
    config = replace(CONFIG, checkpoint_minutes=0.0, ema_decay=0.9)
    whole, killed = network(), network()
    report = trained(whole, config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(killed, config, tmp_path / "killed", Slope(stop_at=5))
    checkpoint, told = tmp_path / "killed" / "fit.safetensors", []
    content = damaged(checkpoint.read_bytes(), how, tmp_path)
    checkpoint.write_bytes(content)
    resumed = network()
    assert trained(resumed, config, tmp_path / "killed", say=told.append) == report
    assert equal(resumed, whole)
    (line,) = told
    assert f"{checkpoint} " in line
    assert "fit.damaged" in line
    assert (tmp_path / "killed" / "fit.damaged").read_bytes() == content
    assert not (tmp_path / "marker").exists()


def test_flipped_bits_are_noticed_wherever_they_are(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(True), "c": torch.zeros(0, 2)}
    values = {"step": 5, "curve": [{"step": 4, "train_loss": 0.1, "validation_loss": math.inf}]}
    write_checkpoint(tmp_path / "x", tensors, values)
    content = (tmp_path / "x").read_bytes()
    for place in range(0, 8 * len(content), 5):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        (tmp_path / "x").write_bytes(flipped)
        with pytest.raises(CheckpointError):
            read_checkpoint(tmp_path / "x")
    (tmp_path / "x").write_bytes(content)
    found, told = read_checkpoint(tmp_path / "x")
    assert told == values
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_best_keeps_the_weights_of_the_lowest_validation_loss(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=40, lr=0.8, validate_every=1, warmup_steps=0, final_lr_ratio=1.0)
    points: list[Point] = []
    model = plane()
    report = trained(model, config, tmp_path, points=points)
    losses = [point["validation_loss"] for point in points]
    assert points == report["curve"]
    assert report["kept_step"] == 1 + int(np.argmin(losses)) < report["steps"]
    with torch.no_grad():
        kept = sum(float(squared_error(model, batch)[0]) for batch in HELD_OUT) / (8 * len(HELD_OUT))
    assert kept == pytest.approx(min(losses))
    assert not model.training


def test_last_keeps_the_last_and_needs_no_validation(tmp_path: Path) -> None:
    report = trained(plane(), CONFIG, tmp_path, held_out=())
    assert report["kept_step"] == report["steps"] == CONFIG.steps
    assert all(math.isnan(point["validation_loss"]) for point in report["curve"])
    nothing = Pairs(x=torch.zeros(0, 3), y=torch.zeros(0))
    model, other = plane(), plane()
    report = trained(model, replace(CONFIG, keep="best"), tmp_path / "empty", held_out=[nothing])
    trained(other, replace(CONFIG, keep="last"), tmp_path / "last")
    assert report["kept_step"] == CONFIG.steps
    assert torch.equal(model.weight, other.weight)


def test_what_was_trained_to_its_end_is_not_trained_again(tmp_path: Path) -> None:
    model, again = network(), network()
    report = trained(model, CONFIG, tmp_path)
    assert trained(again, CONFIG, tmp_path, Slope(stop_at=report["steps"] - 1)) == report
    assert equal(again, model)


def test_losses_are_per_item_over_batches_of_unequal_size(tmp_path: Path) -> None:
    points: list[Point] = []
    config = replace(CONFIG, steps=1, lr=1e-12, keep="last")
    model = plane()
    pairs = [Slope().batch(100), Pairs(x=torch.ones(1, 3), y=torch.tensor([50.0]))]
    with torch.no_grad():
        wanted = sum(float(squared_error(model, each)[0]) for each in pairs) / 9
        training_loss = float(squared_error(model, Slope().batch(0))[0]) / 8
    trained(model, config, tmp_path, held_out=pairs, points=points)
    assert points[0]["validation_loss"] == pytest.approx(wanted, rel=1e-5)
    assert points[0]["train_loss"] == pytest.approx(training_loss, rel=1e-5)


class SpoiltAtStep2(Slope):
    """Batches of which one holds a value that is not finite, as a damaged file would give."""

    def batch(self, step: int, part: int = 0, parts: int = 1) -> Pairs:
        pairs = super().batch(step, part, parts)
        if step == 2 and part == 0:
            pairs.x[0, 0] = math.nan
        return pairs


def test_losses_that_are_not_finite_say_what_is_to_blame_and_are_not_kept(tmp_path: Path) -> None:
    told = r"\bstep 2\b.*\bnan\b.*finite"
    for accumulation in (1, 2):
        config = replace(CONFIG, steps=5, accumulation=accumulation)
        with pytest.raises(InputError, match=told):
            trained(plane(), config, tmp_path / str(accumulation), SpoiltAtStep2())
    with pytest.raises(InputError, match=r"step \d+\b.*\b(nan|inf)\b.*lm\.fit\.lr\b.*finite.*recording"):
        trained(plane(), replace(CONFIG, steps=200, lr=1e30, warmup_steps=0), tmp_path / "lr")
    with pytest.raises(InputError, match=r"validation loss\b.*step 1\b"):
        trained(plane(), replace(CONFIG, steps=1, lr=1e36, warmup_steps=0), tmp_path)


def test_a_step_whose_gradient_alone_is_not_finite_is_refused_and_not_kept(tmp_path: Path) -> None:
    def root(model: nn.Module, batch: Pairs) -> tuple[Tensor, int]:  # 0, whose gradient is infinity times 0
        return (0 * model(batch.x)).abs().sqrt().sum(), len(batch.y)

    with pytest.raises(InputError, match=r"gradient\b.*step 0\b.*nan.*lm\.fit\.lr\b"):
        fit_silently(plane(), Slope(), (), root, replace(CONFIG, checkpoint_minutes=0), tmp_path, option="lm.fit")
    assert not [*tmp_path.iterdir()]


def test_bf16_computes_in_bf16_and_keeps_fp32_weights(tmp_path: Path) -> None:
    exact, rounded = network(), network()
    trained(exact, CONFIG, tmp_path / "fp32")
    trained(rounded, replace(CONFIG, precision="bf16"), tmp_path / "bf16")
    weights, others = exact.state_dict()["0.weight"], rounded.state_dict()["0.weight"]
    assert others.dtype == torch.float32
    assert not torch.equal(weights, others)
    torch.testing.assert_close(weights, others, atol=0.1, rtol=0.1)


COMPILED = replace(CONFIG, compile=True)


@pytest.mark.slow  # the compiler takes ten seconds
def test_a_compiled_training_is_the_same_but_for_rounding(tmp_path: Path) -> None:
    plain, compiled = network(), network()
    one = trained(plain, CONFIG, tmp_path / "plain")
    other = trained(compiled, COMPILED, tmp_path / "compiled")
    for first, second in zip(one["curve"], other["curve"], strict=True):
        assert second == pytest.approx(first, rel=1e-4)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def _failing(graph: object, inputs: object) -> Callable[..., object]:
    raise RuntimeError("no compiler here")


@pytest.mark.filterwarnings("ignore")
def test_a_loss_that_cannot_be_compiled_is_computed_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, other = network(), network()
    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda loss, **options: compiled(loss, backend=_failing))
    trained(plain, CONFIG, tmp_path / "plain")
    trained(other, COMPILED, tmp_path / "compiled")
    assert equal(other, plain)


def test_all_figures_are_in_the_curve_and_in_checkpoints(tmp_path: Path) -> None:
    """Points and checkpoints wait for the last step, whatever their order."""
    often = replace(CONFIG, checkpoint_minutes=0.0)
    assert trained(network(), often, tmp_path / "often") == trained(network(), CONFIG, tmp_path / "seldom")


AUTO = replace(CONFIG, precision="auto")


class Mixed(Gang):
    """A process among others, one of which has a processor without the instructions."""

    def sum(self, values: Sequence[float]) -> list[float]:
        return [value + 1 for value in values]


@dataclass(frozen=True)
class Stage:
    """Options of a stage, which hold others, as in the settings of a run."""

    fit: FitConfig
    inner: "Stage | None" = None


def alone(kind: type[Gang] = Gang) -> Gang:
    return kind(torch.device("cpu"))


@pytest.mark.parametrize(("supported", "precision"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_replaced_at_any_depth(supported: bool, precision: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wordless.training.fit.multiplies_bf16", lambda device: supported)
    named = [replace(CONFIG, precision=each) for each in ("fp32", "bf16")]
    settings = Stage(fit=named[0], inner=Stage(fit=AUTO, inner=Stage(fit=named[1])))
    expected = Stage(fit=named[0], inner=Stage(fit=replace(CONFIG, precision=precision), inner=Stage(fit=named[1])))
    assert with_precision(settings, alone()) == expected


def test_bf16_is_taken_where_all_processors_or_gpus_multiply_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wordless.training.fit.multiplies_bf16", lambda device: True)
    assert choose_precision(alone()) == "bf16"
    assert choose_precision(alone(Mixed)) == "fp32"
    config = replace(CONFIG, precision="auto_gpu")
    gpu = Gang(torch.device("cuda"))
    monkeypatch.setattr(gpu, "sum", list)
    assert with_precision(config, alone()).precision == "fp32"
    assert with_precision(config, gpu).precision == "bf16"


def test_products_are_fast_on_gpus_alone_and_only_in_training() -> None:
    for device, wanted in (("cpu", False), ("cuda", True)):
        with fast_products(torch.device(device)):
            assert torch.backends.cuda.matmul.allow_tf32 == wanted
        assert not torch.backends.cuda.matmul.allow_tf32


def test_passes_are_steps_times_the_sound_of_a_batch_over_all_sound() -> None:
    examples, record = Examples(batch_size=32, seconds=2.0, hours=4.4), TrainingRecord(curve=[], steps=600, kept_step=1)
    assert examples.describe(record) == "600 steps x 32 examples of 2 s = 2.4 passes of 4.4 hours"
    record = TrainingRecord(curve=[], steps=30, kept_step=1, planned=1800)
    assert examples.describe(record) == "30 of 1,800 steps x 32 examples of 2 s = 0.12 passes of 4.4 hours"


def test_crops_of_short_recordings_are_as_long_as_these() -> None:
    """Of three recordings one is longer than a crop, and is drawn in half of the examples."""
    examples = Examples.of_crops([10, 10, 20], 15, 0.1, batch_size=4)
    assert (examples.seconds, examples.hours) == pytest.approx((1.25, 4 / 3600))
