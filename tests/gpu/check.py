"""Runs every CUDA path in order of worth, compares it with the CPU, and prints one JSON of rates: see run.sh.

Without a GPU the same paths run on the CPU; the last line is then "no GPU here", and the exit code 0.
"""

import argparse
import json
import math
import platform
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from tests.gpu.finding import CPU, SCALES, Finding, Scale, bandwidth
from tests.gpu.gpt_paths import gpt_compiled, gpt_states, gpt_training
from tests.gpu.network_paths import encoder_features, simclr_training
from tests.gpu.tokenizer_paths import encoding, kmeans, tokenizer_training
from tests.gpu.wavenet_paths import wavenet_generation, wavenet_training

CHECKS: dict[str, Callable[[torch.device, Scale], Finding]] = {
    "gpt_training": gpt_training,
    "wavenet_generation": wavenet_generation,
    "gpt_compiled": gpt_compiled,
    "simclr_training": simclr_training,
    "wavenet_training": wavenet_training,
    "kmeans": kmeans,
    "encoding": encoding,
    "tokenizer_training": tokenizer_training,
    "encoder_features": encoder_features,
    "gpt_states": gpt_states,
}


def main(words: Sequence[str]) -> int:
    """Run all checks; return 1 if one disagrees with the CPU."""
    parser = argparse.ArgumentParser(prog="tests/gpu/run.sh", description=__doc__)
    parser.add_argument("output", nargs="?", type=Path, help="file for the JSON, beside the standard output")
    parser.add_argument("--seconds", type=float, default=540.0, help="no check begins later")
    options = parser.parse_args(words)
    there = torch.cuda.is_available()
    device = torch.device("cuda", 0) if there else CPU
    scale = SCALES[device.type]
    findings = dict[str, Finding]()
    report: dict[str, object] = {
        "device": torch.cuda.get_device_name(device) if there else f"no GPU; {platform.machine()}",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "memory_bandwidth": bandwidth(device, scale.copied_bytes),  # bytes per second, read and written
    }
    began = time.perf_counter()
    for name, check in CHECKS.items():
        late = time.perf_counter() - began > options.seconds
        unrun = Finding(difference=0.0, allowed=0.0, left_out=(f"everything: {options.seconds:.0f} seconds are over",))
        findings[name] = unrun if late else _run(name, check, device, scale)
        report["checks"] = {name: {**asdict(found), "agrees": found.agrees} for name, found in findings.items()}
        text = json.dumps(report, indent=2)
        if options.output is not None:  # after each check: whoever stops the script keeps what is measured
            options.output.write_text(f"{text}\n")
    print(text)
    if not there:
        print("no GPU here")
    return 0 if all(found.agrees for found in findings.values()) else 1


def _run(name: str, check: Callable[[torch.device, Scale], Finding], device: torch.device, scale: Scale) -> Finding:
    began = time.perf_counter()
    try:
        found = check(device, scale)
    except Exception as error:  # the other checks still run: time on a GPU is dear
        traceback.print_exc()
        found = Finding(difference=math.inf, allowed=0.0, left_out=(f"everything: {type(error).__name__}: {error}",))
    verdict = "agrees" if found.agrees else "DISAGREES"
    took = time.perf_counter() - began
    print(f"{name}: {verdict} ({found.difference:.2g} of {found.allowed:g}), {took:.0f} s", file=sys.stderr)
    for part in found.left_out:
        print(f"{name}: left out {part}", file=sys.stderr)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
