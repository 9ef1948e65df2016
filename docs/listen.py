r"""Make the page docs/listen.md and its sounds from a run: what one can hear before one installs anything.

    wordless run name=listen threads=1
    wordless run name=early threads=1 lm.fit.steps=20 listening.evaluated_clips=2 \
        "stages=[tokenizer,lm,vocoder,report]"
    python docs/listen.py runs/listen runs/early

Each player is a sound of the run's folder ``listening``, as a small Ogg Vorbis file. Nothing is chosen by hand: the
first clips of the run's own choice are shown with all their sounds, then one with a gross pitch error, if there is any,
and, if a second run is given, the continuations of the first two clips by its GPT, which was trained too briefly.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

from pipelines.results.run_record import read_results

HERE = Path(__file__).parent
CLIPS = 5
# file name behind the number of a clip -> caption
KINDS = {
    "original": "recording",
    "wavenet_recorded": "WaveNet, from the recorded log-mel",
    "wavenet": "WaveNet, from codes",
    "harmonics": "harmonics, from codes",
    "griffin_lim": "Griffin-Lim, from codes",
    "continuation_0.7_0": "continued, temperature 0.7",
    "continuation_1_0": "continued, temperature 1",
}
TEXT = """# Listen

Sounds of one run, `{command}`, which takes minutes on two cores: {clips:,} recordings, {minutes:.0f} minutes.
Nobody chose them: they are the first test clips, by voices that no model was trained on.
Where you see no players, as on GitHub, the captions lead to the sounds.

- *From codes*: the vocoder knows the codes and the pitch, and nothing else. Harmonics and Griffin-Lim need no network.
- *From the recorded log-mel*: what is lost here is lost in the vocoder, not in codes.
- *Continued*: a second of the recording, then the GPT goes on alone. At temperature 1 it is bolder than at 0.7.

`python docs/listen.py RUN EARLY` makes this page. The voices are synthetic (eSpeak NG); recordings of people are
not passed on with this page.
"""
BAD = """## A bad continuation

The first recordings again, continued by a GPT that was trained too briefly:

```
{command}
```
"""
OPEN, CLOSE = '\n<div class="sounds">', "</div>\n"


def player(source: Path, target: Path, caption: str) -> str:
    """Write a sound as Ogg Vorbis, and return the HTML of its player, with a link for pages that show no players."""
    samples, rate = soundfile.read(source, dtype="float32")
    with soundfile.SoundFile(target, "w", rate, 1, format="OGG", subtype="VORBIS") as file:
        for block in np.array_split(samples, max(len(samples) // rate, 1)):  # libsndfile fails on long blocks of Vorbis
            file.write(block)
    audio = f'<audio controls preload="none" src="sounds/{target.name}"></audio>'
    link = f'<a href="sounds/{target.name}">{caption}</a>'
    return f"<figure>{audio}<figcaption>{link}</figcaption></figure>"


def main(run: Path, early: Path | None, page: Path) -> None:
    """Write the page of a run and of one whose GPT was trained too briefly and, beside it, the folder ``sounds``."""
    results, sounds = read_results(run), page.parent / "sounds"
    sounds.mkdir(parents=True, exist_ok=True)
    for old in sounds.glob("*.ogg"):
        old.unlink()
    corpus = results["corpus"]
    about = {"clips": sum(corpus["clips"].values()), "minutes": sum(corpus["seconds"].values()) / 60}
    parts = [TEXT.format(command=results["provenance"]["command"], **about)]
    for number, clip in enumerate(results["listening"]["clips"][:CLIPS]):
        parts += [f"## {clip['label'] or clip['path']}, {clip['group'] or 'no group'}", OPEN]
        for kind, caption in KINDS.items():
            if (source := run / f"listening/{number}_{kind}.wav").is_file():
                parts.append(player(source, sounds / f"{number}_{kind}.ogg", caption))
        parts.append(CLOSE)
    for source in sorted(run.glob("listening/gross_pitch_error_*_wavenet.wav"))[:1]:
        name = source.stem.removesuffix("_wavenet")
        parts += ["## One that went wrong", "\nWaveNet misses the pitch of this clip.", OPEN]
        parts += [
            player(run / f"listening/{name}_{kind}.wav", sounds / f"{name}_{kind}.ogg", KINDS[kind])
            for kind in ("original", "wavenet")
        ]
        parts.append(CLOSE)
    if early:
        results, kind = read_results(early), "continuation_0.7_0"
        parts += [BAD.format(command=results["provenance"]["command"]), OPEN.strip()]
        for number, clip in enumerate(results["listening"]["clips"][:2]):
            if (source := early / f"listening/{number}_{kind}.wav").is_file():
                caption = f"{clip['label'] or clip['path']}, {KINDS[kind]}"
                parts.append(player(source, sounds / f"early_{source.stem}.ogg", caption))
        parts.append(CLOSE)
    page.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None, HERE / "listen.md")
