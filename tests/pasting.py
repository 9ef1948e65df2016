"""A machine to paste printed commands into: its own home and work folders, and a ``wordless`` that takes seconds.

The program ``wordless`` that stands first in PATH calls this checkout with the words of the line, and then adds those
of `MORE`: smaller models, fewer steps. So lines are pasted as they are printed, with quotes, comments and backslashes.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.pipelines.tiny_chain import TINY

ROOT = Path(__file__).parents[1]

# words that `wordless` adds to each command of these names, after the words of the line
RUN = tuple(word for word in TINY if not word.startswith(("experiment=", "embedded.", "baselines=", "tokenizer.codeb")))
MORE: dict[str, tuple[str, ...]] = {
    "run": (
        *(*RUN, "embedded.voices=8", "embedded.words=4", "embedded.repetitions=2", "audio.sample_rate=8000"),
        *("audio.n_mels=40", "tokenizer.autoencoder.hidden=32", "lm.gpt.layers=1", "lm.gpt.heads=2"),
        *(f"vocoder.wavenet.{name}_channels={size}" for name, size in (("residual", 8), ("gate", 16), ("skip", 16))),
        *(f"baselines.{of}.fit.warmup_steps=1" for of in ("simclr", "supervised")),
        *(f"baselines.{of}.fit.validate_every=2" for of in ("simclr", "supervised")),
        "listening.evaluator=probe",
    ),
    "finetune": (
        "backbone.fit.steps=4",
        "backbone.fit.validate_every=2",
        "backbone.fit.warmup_steps=2",
        "probe.regularisation_strengths=3",
    ),
    "probe": ("probe.regularisation_strengths=3", "probe.resamples=10"),
    "demo": ("port=0", "browser=false"),
}
FOLDS = ("quick=true", "compare.folds=")  # two folds are enough where a command asks for folds
SIZES = ("tokenizer.codebook_size=8,16", "experiment=codebook_sweep")  # two of the experiment's eight

WORDLESS = """\
#!/usr/bin/env bash
# Calls the command of this checkout with the words of the line, and those that the tests add.
more=()
case " $* " in
  *" --help "*) ;;
  *) [ -f "$MORE/$1" ] && mapfile -t more < "$MORE/$1" ;;
esac
case " $* " in
  *" unlabelled="*) ;;
  *" corpus.root="* | *" corpus.table="* | *" corpus.dataset="*)
    mapfile -t more < <(printf '%s\n' "${{more[@]}}" | grep -v '^embedded[.]') ;;
esac
case " $* " in
  *" experiment=spoken_sentences "*)
    mapfile -t more < <(printf '%s\n' "${{more[@]}}" | grep -vE '^embedded[.](words|repetitions)')
    more+=(embedded.sentences=6 zerospeech.voices=2 zerospeech.sentences=4) ;;
esac
case " $* " in *" {folds[1]}"*) more+=({folds[0]}) ;; esac
case " $* " in *" {sizes[1]} "*) more+=({sizes[0]}) ;; esac
PYTHONPATH={root} exec {python} -m pipelines.cli "$@" "${{more[@]}}"
"""


def set_up(place: Path) -> None:
    """Make the folders ``home`` and ``work``, and the program ``wordless``."""
    for folder in ("bin", "more", "home", "work"):
        (place / folder).mkdir()
    for command, words in MORE.items():
        (place / "more" / command).write_text("\n".join(words) + "\n")
    program = place / "bin/wordless"
    program.write_text(WORDLESS.format(root=ROOT, python=sys.executable, folds=FOLDS, sizes=SIZES))
    program.chmod(0o755)


def environment(place: Path) -> dict[str, str]:
    """The environment of a shell on the machine."""
    return {
        **os.environ,
        **{"HOME": str(place / "home"), "MORE": str(place / "more"), "OMP_NUM_THREADS": "1"},
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
    }


def bash(text: str, place: Path, *, seconds: float = 900) -> subprocess.CompletedProcess[str]:
    """Paste a line into a shell whose current folder is ``work``."""
    return subprocess.run(
        ["bash", "-c", text],
        cwd=place / "work",
        env=environment(place),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )


BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:[^\n\\]|\\.)+", re.DOTALL)  # a line, with the lines that a backslash joins to it


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A command for the shell, or an example in Python."""

    document: str
    line: int
    text: str
    python: bool

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def printed(document: str) -> Iterator[Printed]:
    """Give the examples of a document in their order. Blocks marked as ``text`` show files, and are none."""
    page = (ROOT / document).read_text(encoding="utf-8")
    for block in BLOCK.finditer(page):
        language, content, start = block[1], block[2], block.start(2)
        if language == "python":
            yield Printed(document=document, line=_line(page, start), text=content, python=True)
        elif language in ("", "bash"):
            for command in COMMAND.finditer(content):
                place = _line(page, start + command.start())
                yield Printed(document=document, line=place, text=command[0], python=False)


def _line(page: str, place: int) -> int:
    return page.count("\n", 0, place) + 1
