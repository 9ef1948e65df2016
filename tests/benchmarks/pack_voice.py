"""Pack the vocoder of a run as weights that ship: ``python tests/benchmarks/pack_voice.py RUN vocoder/universal/RATE``.

The network reads log-mel as it is, and so serves every tokenizer of its front end. A README.md with the recordings and
their licences is written by hand.
"""

import sys
from dataclasses import asdict, replace
from pathlib import Path

from pipelines.stages.start import VOICE, start_folder
from pipelines.stages.start_voice import require_absolute, statistics_of
from vocoder.vocoder import Vocoder
from vocoder.wavenet import as_it_is, transferred
from wordless.base.saved_models import VOCODER, write_model


def pack(run: str, output: Path) -> None:
    """Write model.safetensors and config.json; of a vocoder with groups, their average."""
    config, audio = require_absolute(run)
    vocoder = Vocoder.from_pretrained(start_folder(run, VOCODER, option=VOICE))
    for_all = replace(config, groups=())
    known, new = statistics_of(run), as_it_is(config.n_mels)
    model = transferred(vocoder.model, for_all, known=known, new=new, seed=0)
    write_model(output, model, {"log_mel": asdict(audio), "wavenet": asdict(for_all)})


if __name__ == "__main__":
    pack(sys.argv[1], Path(sys.argv[2]))
