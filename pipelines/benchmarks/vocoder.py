"""Speed of decoding per engine, beside `wavenet_vocoder` 0.1.1 of PyPI (r9y9), where it is installed."""

import copy
from collections.abc import Sequence
from dataclasses import asdict
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
from vocoder.wavenet import WaveNet
from wordless.base.errors import InputError
from wordless.base.machine import cores as cores_here

SECONDS_EACH = 1.0  # of work that one try measures, about
FIRST_FRAMES = 2  # to estimate the speed
MOST_FRAMES = 500
PEER_STEPS = 400


def measure_vocoder(vocoder_folder: Path, *, clips: Sequence[int], repeats: int) -> dict[str, object]:
    """Measure every engine that runs here, on one core, numba also on two; print a table.

    A rate has the samples per second of all clips together, and the same over the sample rate: by time, and by
    processor time, each core alone, which other work does not change (None on a GPU).
    """
    model, console = Vocoder.from_pretrained(vocoder_folder).model.eval(), Console()
    config, engines = model.config, engines_here(gpu=torch.cuda.is_available())
    # Each device has its own copy, because a module is moved in place.
    models = {device: copy.deepcopy(model).to(device) for device in {device_of(engine) for engine in engines}}
    rows = table("engine", "clips", "cores", "samples/s", "speed", "by cpu", title="codes to sound")
    rates, alone = [], {}
    for engine in engines:
        for cores in (1, 2) if engine.startswith("numba") and cores_here() > 1 else (1,):
            for count in clips:
                torch.set_num_threads(cores)
                speed, by_cpu = measure(models[device_of(engine)], engine, count, repeats)
                times, cpu = speed / config.sample_rate, times_by_cpu(engine, count, cores, by_cpu, config.sample_rate)
                rate = {"engine": engine, "clips": count, "cores": cores, "samples_per_second": speed}
                rates.append({**rate, "times_real_time": times, "times_by_cpu": cpu})
                cells = (f"{speed:,.0f}", f"{times:.2f}", "" if cpu is None else f"{cpu:.2f}")
                rows.add_row(engine, str(count), str(cores), *cells)
                console.print(f"{engine}, clips {count}, cores {cores}: {times:.2f} times real time")
                if (count, cores) == (1, 1):
                    alone[str(engine)] = speed
    torch.set_num_threads(1)
    peer = measure_peer(config, repeats) if find_spec("wavenet_vocoder") else None
    for name, speed in (peer or {}).items():
        rows.add_row(name, "1", "1", f"{speed:,.0f}", f"{speed / config.sample_rate:.2f}", "")
    # The fast engines beside the slower ones, on one clip and one core, in the same run.
    slow = {"torch": alone["torch"], **(peer or {})} if "torch" in alone else {}
    fast = {name: speed for name, speed in alone.items() if name.startswith("numba")}
    ratios = {f"{ours} over {name}": fast[ours] / slow[name] for ours in fast for name in slow}
    console.print(rows)
    console.print("speed: times real time, all clips together; by cpu: the same by processor time, without other work")
    if peer is None:
        console.print("wavenet_vocoder is not installed: pip install 'wordless[bench]' compares with it")
    for name, ratio in ratios.items():
        console.print(f"{name}, one clip, one core: {ratio:.1f}")
    return {"vocoder": {"config": asdict(config), "rates": rates, "wavenet_vocoder": peer, "ratios": ratios}}


def times_by_cpu(engine: Engine, clips: int, cores: int, samples_per_second: float, sample_rate: int) -> float | None:
    """Relate samples per second of processor time to the sample rate; they say nothing of a GPU."""
    return samples_per_second * min(cores, clips) / sample_rate if device_of(engine) == "cpu" else None


def device_of(engine: Engine) -> Literal["cpu", "cuda"]:
    """Return the device of an engine's measurement; the PyTorch loop always on the CPU, for comparison with numba."""
    return "cuda" if engine == "triton" else "cpu"


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
