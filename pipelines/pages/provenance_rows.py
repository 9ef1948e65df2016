"""Where a run's results come from, as rows of a table, and its options, a line for each."""

import json
from collections.abc import Iterator, Mapping

from pipelines.pages.phrasing import counted, full_name, number
from pipelines.results.run_record import MachineRecord, Provenance


def provenance_rows(source: Provenance) -> Iterator[tuple[str, str]]:
    """List what the results were made with, a name and a value for each row."""
    yield "Wordless", source["version"]
    yield "commit", source["commit"] or "not a git checkout"
    yield "date", source["date"].replace("T", " ").replace("+00:00", " UTC")
    yield "machine", _machine(source["machine"])
    yield "operating system", source["system"]
    yield "Python", source["python"]
    yield "device", source["device"]
    yield "threads", number(source["threads"])
    yield "ranks", number(source["ranks"])
    for stage, count in source["parameters"].items():
        yield f"parameters, {full_name(stage)}", number(count)
    yield from source["libraries"].items()


def option_lines(config: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Write each option as the command line takes it: ``audio.n_mels=80``."""
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from option_lines(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"


def _machine(machine: MachineRecord) -> str:
    memory = machine["memory"]
    size = "" if memory is None else f", {memory / 1e9:.0f} GB of memory"
    return f"{machine['cpu']}, {counted(machine['cores'], 'core')}{size}"
