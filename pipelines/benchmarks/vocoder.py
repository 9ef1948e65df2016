"""Speed of decoding per engine, beside a public WaveNet and the peak rates of the machine."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import torch
from rich.console import Console

from pipelines.benchmarks.peer import measure_peer
from pipelines.benchmarks.roofline import Machine, Rate, draw_roofline, measure_machine
from pipelines.benchmarks.timing import table, timed
from vocoder.crops import VocoderBatch, loss
from vocoder.engines.choice import Engine, choose_engine, width
from vocoder.generation import GenerationInput, generate
from vocoder.options import WaveNetConfig
from vocoder.vocoder import Vocoder
from vocoder.wavenet.network import WaveNet, create_wavenet
from wordless.base.devices import cores as cores_here
from wordless.base.errors import InputError

SECONDS_EACH = 1.0  # of work that one try measures, about
FIRST_FRAMES = 2  # to estimate the speed
MOST_FRAMES = 500
TRAINED_CROPS = 4
CROP_FRAMES = 50
FLOAT_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class TrainingRate:
    """Speed of training."""

    precision: str
    cores: int
    samples_per_second: float


@dataclass(frozen=True, kw_only=True)
class Speeds:
    """All measurements, as the JSON file holds them."""

    config: WaveNetConfig
    multiply_adds_per_sample: int
    machine: list[Machine]  # with one core, and with more
    rates: list[Rate]
    wavenet_vocoder: dict[str, float] | None  # samples per second of the peer; None: it is not installed
    ratios: dict[str, float]
    training: list[TrainingRate]


def measure_vocoder(
    vocoder_folder: Path, *, clips: Sequence[int], repeats: int, picture: Path | None
) -> dict[str, object]:
    """Measure, print tables, draw a roofline."""
    model = Vocoder.from_pretrained(vocoder_folder).model.eval()
    counts, console = [count for count in (1, 2) if count <= cores_here()], Console()
    machines, rates = [measure_machine(count) for count in counts], list[Rate]()
    for row in _rates(model, clips, machines, repeats):
        rates.append(row)
        console.print(f"{row.engine}, clips {row.clips}, cores {row.cores}: {row.times_real_time:.2f} times real time")
    torch.set_num_threads(1)
    peer = measure_peer(model.config, repeats) if find_spec("wavenet_vocoder") else None
    kinds = [(precision, count) for precision in ("fp32", "bf16") for count in counts]
    speeds = Speeds(
        config=model.config,
        multiply_adds_per_sample=multiply_adds(model.config),
        machine=machines,
        rates=rates,
        wavenet_vocoder=peer,
        ratios=_ratios(rates, peer),
        training=[_training(model.config, precision, count, repeats) for precision, count in kinds],
    )
    _show(speeds, console)
    if picture is not None:
        draw_roofline(picture, machines, rates)
    return {"vocoder": asdict(speeds)}


def multiply_adds(config: WaveNetConfig) -> int:
    """Count the operations of one sample, without those computed once per frame."""
    half, skip = config.gate_channels // 2, config.skip_channels
    layer = config.kernel_size * config.residual_channels * config.gate_channels + half * skip
    ends = skip * skip + skip * config.levels
    return config.layers * layer + (config.layers - 1) * half * config.residual_channels + ends


def _rates(model: WaveNet, clips: Sequence[int], machines: Sequence[Machine], repeats: int) -> Iterator[Rate]:
    """Measure every engine that runs here; engines except numba on one core, as they use only one."""
    engines = engines_here(gpu=torch.cuda.is_available())
    # Each device has its own copy, because a module is moved in place.
    models = {device: copy.deepcopy(model).to(device) for device in {device_of(engine) for engine in engines}}
    for engine, machine in ((engine, machine) for engine in engines for machine in machines):
        if not engine.startswith("numba") and machine.cores > 1:
            continue
        for count in clips:
            torch.set_num_threads(machine.cores)
            speeds = measure(models[device_of(engine)], engine, count, repeats)
            yield rate(engine, count, machine, model.config, speeds)


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


def rate(engine: Engine, clips: int, machine: Machine, config: WaveNetConfig, speeds: tuple[float, float]) -> Rate:
    """Relate an engine's measurements to the peak rates of the machine's cores, if it runs on them."""
    adds, (speed, by_cpu) = multiply_adds(config), speeds
    bytes_per_sample = weight_bytes(config, engine, clips, machine.cores)
    flops, busy = 2 * adds * speed, min(machine.cores, clips)
    on_cpu, reading = device_of(engine) == "cpu", machine.bytes_per_second["weights"]
    return Rate(
        engine=engine,
        clips=clips,
        cores=machine.cores,
        samples_per_second=speed,
        times_real_time=speed / config.sample_rate,
        times_by_cpu=by_cpu * busy / config.sample_rate if on_cpu else None,
        flops=flops,
        flops_per_byte=2 * adds / bytes_per_sample,
        of_peak_flops=flops / machine.flops if on_cpu else None,
        of_peak_bytes=speed * bytes_per_sample / reading if on_cpu else None,
    )


def weight_bytes(config: WaveNetConfig, engine: Engine, clips: int, cores: int) -> float:
    """Count the bytes of weights that an engine reads per sample; clips may share a reading."""
    whole = FLOAT_BYTES * multiply_adds(config)
    match engine:
        case "torch" | "cuda_graph":
            return whole / min(clips, width(engine))
        case "numba" | "numba_bf16":
            from vocoder.engines.kernels import BLOCK  # both need numba, which runs where this is asked
            from vocoder.engines.numba_streams import TOGETHER

            rows = min(max(clips / cores, 1), TOGETHER)
            past = (config.kernel_size - 1) * config.residual_channels * config.gate_channels * FLOAT_BYTES
            blocks = (min(dilation, max(BLOCK / rows, 1)) for dilation in config.dilations)
            read = (whole - sum(past * (1 - 1 / block) for block in blocks)) / rows
            return read / 2 if engine == "numba_bf16" else read


def _training(config: WaveNetConfig, precision: str, cores: int, repeats: int) -> TrainingRate:
    torch.set_num_threads(cores)
    model = create_wavenet(config, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    samples = CROP_FRAMES * config.hop_length
    levels = torch.randint(config.levels, (TRAINED_CROPS, samples))
    batch = VocoderBatch(
        previous=levels,
        targets=levels.roll(-1, dims=1),
        spectrogram=torch.randn(TRAINED_CROPS, CROP_FRAMES, config.condition_inputs),
        groups=torch.full((TRAINED_CROPS,), -1),
        counted=levels.numel(),
    )

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            total, count = loss(model, batch)
        (total / count).backward()  # type: ignore[no-untyped-call]  # torch's own
        optimizer.step()

    return TrainingRate(
        precision=precision, cores=cores, samples_per_second=TRAINED_CROPS * samples / timed(step, repeats).seconds
    )


def _ratios(rates: Sequence[Rate], peer: dict[str, float] | None) -> dict[str, float]:
    """Compare the fast engines with the slower ones on one clip and one core, in the same run."""
    alone = {row.engine: row.samples_per_second for row in rates if (row.clips, row.cores) == (1, 1)}
    slow = {"torch": alone["torch"], **(peer or {})} if "torch" in alone else {}
    fast = {name: speed for name, speed in alone.items() if name.startswith("numba")}
    return {f"{ours} over {name}": fast[ours] / slow[name] for ours in fast for name in slow}


def _show(speeds: Speeds, console: Console) -> None:
    rows = table("engine", "clips", "cores", "samples/s", "speed", "by cpu", "sgemm", "reading", title="codes to sound")
    for row in speeds.rates:
        of_cpu = ((row.times_by_cpu, ".2f"), (row.of_peak_flops, ".0%"), (row.of_peak_bytes, ".0%"))
        shares = ("" if value is None else format(value, kind) for value, kind in of_cpu)
        speed = f"{row.samples_per_second:,.0f}", f"{row.times_real_time:.2f}"
        rows.add_row(row.engine, str(row.clips), str(row.cores), *speed, *shares)
    for name, of_peer in (speeds.wavenet_vocoder or {}).items():
        rows.add_row(name, "1", "1", f"{of_peer:,.0f}", f"{of_peer / speeds.config.sample_rate:.2f}", "", "", "")
    console.print(rows)
    console.print(
        "speed: times real time, all clips together; by cpu: the same by processor time, which other work does not\n"
        "change; sgemm, reading: shares of the machine's peaks below"
    )
    if speeds.wavenet_vocoder is None:
        console.print("wavenet_vocoder is not installed: pip install 'wordless[bench]' compares with it")
    for machine in speeds.machine:
        reading = ", ".join(f"{name} {speed / 1e9:,.0f} GB/s" for name, speed in machine.bytes_per_second.items())
        console.print(f"peak, cores {machine.cores}: sgemm {machine.flops / 1e9:,.0f} GFLOP/s; reading {reading}")
    for each in speeds.training:
        console.print(f"training, {each.precision}, cores {each.cores}: {each.samples_per_second:,.0f} samples/s")
    for name, ratio in speeds.ratios.items():
        console.print(f"{name}, one clip, one core: {ratio:.1f}")
