"""Options that several commands share: model, device, workers and engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wordless.base.devices import Device
from wordless.base.options import REQUIRED, Options, option
from wordless.base.pools import LOCAL, EngineConfig

MODEL = "folder of a run, or hf://user/name"


@dataclass(frozen=True, kw_only=True)
class DeviceOptions(Options):
    device: Device = option("auto", "auto uses a GPU if there is one")


@dataclass(frozen=True, kw_only=True)
class ModelOptions(DeviceOptions):
    model: Path = option(REQUIRED, MODEL)


@dataclass(frozen=True, kw_only=True)
class RateOptions(Options):
    upsample: bool = option(
        False, "true: recordings may have a lower sample rate than the model; it then reads bands that are empty"
    )


@dataclass(frozen=True, kw_only=True)
class WorkerOptions(Options):
    workers: int = option(
        0, "processes that read recordings; 0: all cores if there is enough to do. No result depends on it", least=0
    )


@dataclass(frozen=True, kw_only=True)
class EngineOptions(WorkerOptions):
    engine: EngineConfig = option(LOCAL, "what reads and encodes: processes of this machine, or a Ray cluster")
