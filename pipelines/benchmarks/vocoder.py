"""Speed of decoding per engine, beside `wavenet_vocoder` 0.1.1 of PyPI (r9y9), where it is installed."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import torch
from rich.console import Console

from pipelines.benchmarks.measurement import table, timed
from vocoder.engines.choice import Engine, choose_engine
from vocoder.generation import GenerationInput, generate
from vocoder.options import WaveNetConfig
from vocoder.vocoder import Vocoder
from vocoder.wavenet.network import WaveNet
from wordless.base.devices import cores as cores_here
from wordless.base.errors import InputError

SECONDS_EACH = 1.0  # of work that one try measures, about
FIRST_FRAMES = 2  # to estimate the speed
MOST_FRAMES = 500
PEER_STEPS = 400


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Speed of generation with one engine, everything included."""

    engine: str
    clips: int  # side by side
    cores: int
    samples_per_second: float  # of all clips together
    times_real_time: float  # the same over the sample rate
    times_by_cpu: float | None  # the same by processor time, each core alone: other work does not change it; no GPU


def measure_vocoder(vocoder_folder: Path, *, clips: Sequence[int], repeats: int) -> dict[str, object]:
    """Measure, and print a table."""
    model, console = Vocoder.from_pretrained(vocoder_folder).model.eval(), Console()
    rates = []
    for row in _rates(model, clips, repeats):
        rates.append(row)
        console.print(f"{row.engine}, clips {row.clips}, cores {row.cores}: {row.times_real_time:.2f} times real time")
    torch.set_num_threads(1)
    peer = measure_peer(model.config, repeats) if find_spec("wavenet_vocoder") else None
    ratios = _ratios(rates, peer)
    _show(rates, peer, ratios, model.config, console)
    values = {"config": asdict(model.config), "rates": [asdict(row) for row in rates]}
    return {"vocoder": {**values, "wavenet_vocoder": peer, "ratios": ratios}}


def _rates(model: WaveNet, clips: Sequence[int], repeats: int) -> Iterator[Rate]:
    """Measure every engine that runs here, on one core; numba also on two."""
    engines = engines_here(gpu=torch.cuda.is_available())
    # Each device has its own copy, because a module is moved in place.
    models = {device: copy.deepcopy(model).to(device) for device in {device_of(engine) for engine in engines}}
    for engine in engines:
        for cores in (1, 2) if engine.startswith("numba") and cores_here() > 1 else (1,):
            for count in clips:
                torch.set_num_threads(cores)
                yield rate(
                    engine, count, cores, model.config, measure(models[device_of(engine)], engine, count, repeats)
                )


def device_of(engine: Engine) -> Literal["cpu", "cuda"]:
    """Return the device of an engine's measurement; the PyTorch loop always on the CPU, for comparison with numba."""
    return "cuda" if engine == "cuda_graph" else "cpu"


def engines_here(*, gpu: bool) -> list[Engine]:
    """List the engines that run on this machine, without those that would be replaced by another."""
    every: tuple[Engine, ...] = get_args(Engine)
    possible = [engine for engine in every if gpu or device_of(engine) == "cpu"]
    return [engine for engine in possible if choose_engine(engine, device_of(engine)).engine == engine]


def measure(model: WaveNet, engine: Engine, clips: int, repeats: int) -> tuple[float, float]:
    """Measure samples of all clips per second of time and of processor time; the best of several tries.

    A short try first estimates the speed, so that each later try takes about `SECONDS_EACH`. One more try warms up and
    is not counted.

    Raises:
        InputError: the engine does not run where the model is; another would be measured in its place.
    """
    device = model.embedding.weight.device.type
    if (instead := choose_engine(engine, device).engine) != engine:
        raise InputError(f"engine {engine} does not run on {device}, where {instead} stands in; move the model")

    def speeds(frames: int, repeats: int) -> tuple[float, float]:
        conditions = torch.randn(clips, frames, model.config.condition_inputs)
        inputs = [GenerationInput(spectrogram=each, seed=seed) for seed, each in enumerate(conditions)]
        timing = timed(lambda: generate(model, inputs, engine=engine), repeats)
        samples = clips * frames * model.config.hop_length
        return samples / timing.seconds, samples / timing.cpu_seconds

    frames = round(speeds(FIRST_FRAMES, 1)[0] * SECONDS_EACH / (clips * model.config.hop_length))
    return speeds(min(max(frames, 1), MOST_FRAMES), repeats)


def rate(engine: Engine, clips: int, cores: int, config: WaveNetConfig, speeds: tuple[float, float]) -> Rate:
    """Relate an engine's measurements to the sample rate."""
    speed, by_cpu = speeds
    return Rate(
        engine=engine,
        clips=clips,
        cores=cores,
        samples_per_second=speed,
        times_real_time=speed / config.sample_rate,
        times_by_cpu=by_cpu * min(cores, clips) / config.sample_rate if device_of(engine) == "cpu" else None,
    )


@torch.no_grad()
def measure_peer(config: WaveNetConfig, repeats: int) -> dict[str, float]:
    """Measure the samples per second of the peer's ``incremental_forward`` on one clip, with and without conditions."""
    from wavenet_vocoder.wavenet import WaveNet

    speeds = {}
    for name, channels in (("wavenet_vocoder", config.n_mels), ("wavenet_vocoder plain", -1)):
        model = WaveNet(
            out_channels=config.levels,
            layers=config.layers,
            stacks=config.cycles,
            residual_channels=config.residual_channels,
            gate_channels=config.gate_channels,
            skip_out_channels=config.skip_channels,
            kernel_size=config.kernel_size,
            cin_channels=channels,
        )
        model.make_generation_fast_()
        conditions = None if channels < 0 else torch.randn(1, channels, PEER_STEPS)
        work = partial(model.eval().incremental_forward, c=conditions, T=PEER_STEPS)
        speeds[name] = PEER_STEPS / timed(work, repeats).seconds
    return speeds


def _ratios(rates: Sequence[Rate], peer: dict[str, float] | None) -> dict[str, float]:
    """Compare the fast engines with the slower ones on one clip and one core, in the same run."""
    alone = {row.engine: row.samples_per_second for row in rates if (row.clips, row.cores) == (1, 1)}
    slow = {"torch": alone["torch"], **(peer or {})} if "torch" in alone else {}
    fast = {name: speed for name, speed in alone.items() if name.startswith("numba")}
    return {f"{ours} over {name}": fast[ours] / slow[name] for ours in fast for name in slow}


def _show(
    rates: Sequence[Rate],
    peer: dict[str, float] | None,
    ratios: dict[str, float],
    config: WaveNetConfig,
    console: Console,
) -> None:
    rows = table("engine", "clips", "cores", "samples/s", "speed", "by cpu", title="codes to sound")
    for row in rates:
        by_cpu = "" if row.times_by_cpu is None else f"{row.times_by_cpu:.2f}"
        speed = f"{row.samples_per_second:,.0f}", f"{row.times_real_time:.2f}"
        rows.add_row(row.engine, str(row.clips), str(row.cores), *speed, by_cpu)
    for name, of_peer in (peer or {}).items():
        rows.add_row(name, "1", "1", f"{of_peer:,.0f}", f"{of_peer / config.sample_rate:.2f}", "")
    console.print(rows)
    console.print("speed: times real time, all clips together; by cpu: the same by processor time, without other work")
    if peer is None:
        console.print("wavenet_vocoder is not installed: pip install 'wordless[bench]' compares with it")
    for name, ratio in ratios.items():
        console.print(f"{name}, one clip, one core: {ratio:.1f}")
