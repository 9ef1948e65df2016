"""The report of small runs that are built here: real WAV files, real pictures, figures of the right kind."""

import base64
import io
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from pipelines.pages import phrasing
from pipelines.pages.charts import spectrogram_chart
from pipelines.pages.phrasing import full_name, percent, points, summary
from pipelines.pages.players import reconstruction
from pipelines.pages.report import comparison_charts, in_report_order, layer_label, ranked_groups
from pipelines.results.run_record import Comparison, Pictures, Row, frame, read_results
from tests.calling import python
from tests.pipelines.pages_apart import Page, comparison_example, figure, probe, report_of, says
from wordless.audio.waveform import Waveform
from wordless.base.messages import InputError

DRAW = """
import sys, pathlib
from tests.pipelines.pages_apart import report_of
print(report_of(pathlib.Path(sys.argv[1])))
"""
HOSTILE = "<script>alert('1')</script> & $x_1$ \"q\""
LEVELS = {"peak": 0.5, "rms": -20.0, "dc": 0.0, "clipping": 0.0, "silence": 0.1}
PROVENANCE = {
    **{"version": "1.2.3", "commit": "0123abc+changes", "date": "2026-11-21T12:00:00+00:00", "command": "wordless run"},
    **{"machine": {"cpu": "Processor X", "cores": 2, "memory": 8_000_000_000}, "system": "Some Linux"},
    **{"python": "3.12.3", "device": "cpu (x86_64)", "threads": 2, "ranks": 1, "libraries": {"torch": "2.9.1"}},
    "parameters": {"autoencoder": 1200, "lm": 34_000},
    "config": {"audio": {"n_mels": 40, "f_max": None}, "stages": ["lm"], "corpus": {"root": "~/é {a}"}, "ablation": {}},
}


def listening(clips: int) -> dict[str, object]:
    """Clips with all synthesis methods, two continuations of each, and a sound from nothing."""
    decoded = LEVELS | {"log_mel_distance": 9.5, "code_agreement": 0.4}
    kinds = {"original": LEVELS, "harmonics": decoded, "griffin_lim": decoded, "wavenet": decoded, "prompt": LEVELS}
    whole = {"label": "seven", "group": "voice", "start": 0.0, "seconds": 1.0, "clip_seconds": 1.0, "sounds": kinds}
    generated_rows = [
        {"kind": "continuation", "file": f"{n}_continuation_{t:g}_0.wav", "clip": n, "temperature": t}
        | {"figures": LEVELS | {"prompt_seconds": 0.1}}
        for n in range(clips)
        for t in (0.7, 1.0)
    ]
    lost = {"original": {}, "wavenet": {"pitch_error": 1200.0, "voicing_error": 0.25}}
    alone = {"kind": "unconditional", "file": "unconditional_1_0.wav", "clip": None, "temperature": 1.0}
    varied = {"of": "continuation", "temperature": 0.7, "sounds": 2, "perplexity": 8.5, "recoded_perplexity": 12.5}
    return {
        "clips": [{"path": f"seven/{n}.wav", **whole} for n in range(clips)],
        "generated": [*generated_rows, alone | {"figures": LEVELS}],
        "diversity": [varied | {"distinct_1": 0.25, "distinct_2": 0.5, "distinct_3": None}],
        "generated_labels": [{"of": "continuation", "temperature": 0.7, "classes": {"seven": 1, "eight": 2}}],
        **{"evaluated_clips": 30, "postfilter": 1.0, "pitch_comb": True},
        "gross_pitch_errors": [
            {"number": 7, "path": "seven/7.wav", "label": "seven", "group": "voice", "sounds": lost}
        ],
    }


def results(clips: int = 2) -> dict[str, Any]:
    curve = [{"step": step, "train_loss": 5.0 / step, "validation_loss": 6.0 / step} for step in (1, 2, 3)]
    training = {"curve": curve, "steps": 3, "kept_step": 2}
    accuracy = {"original": 0.9, "harmonics": 0.6, "griffin_lim": 0.5, "wavenet": 0.75}
    ahead = {"harmonics": 0.15, "griffin_lim": 0.25}
    figures = [
        *(figure("tokenizer", "perplexity", 12.5), figure("lm", "perplexity", 3.25), figure("lm", "seconds", 61.0)),
        *(figure("lm", "unigram_perplexity", 12.0), figure("probe", "accuracy", 0.9, of="gpt")),
        figure("vocoder", "code_agreement", 0.4, of="wavenet"),
        *(figure("vocoder", "stoi", value, of=of) for of, value in (("wavenet", 0.75), ("wavenet_recorded", 0.875))),
        figure("vocoder", "voicing_error_difference", 0.02, of="wavenet", against="harmonics", low=-0.01, high=0.05),
        *(
            figure("vocoder", "label_accuracy", value, of=of, low=value - 0.1, high=value + 0.1)
            for of, value in accuracy.items()
        ),
        *(
            figure("vocoder", "label_accuracy_difference", value, of="wavenet", against=of, low=value - 0.1, high=0.25)
            for of, value in ahead.items()
        ),
    ]
    means = {"points": 1000, "objective": [3.0, 2.0, 1.5], "dead": 0, "duplicates": 0, "gpu": False}
    return {
        "figures": figures,
        "corpus": {
            "summary": ["recordings: 6 clips"],
            **{"name": "corpus seven", "clips": {"train": 8, "validation": 1, "test": 2}},
            **{"seconds": {"train": 3700.0, "validation": 10.0, "test": 20.0}, "groups": {"voice": 11}},
            **{"rejected": [{"path": "seven.wav", "reason": "silent"}], "labels": {"seven": 6, "eight": 5}},
        },
        "curves": {"autoencoder": training, "lm": training, "vocoder": training},
        "codebook": {"counts": [5, 0, 9, 1], "kmeans": means, "verdict": None},
        "comparison": comparison_example(["test"], groups=3, classes=("eight", "seven")),
        "listening": listening(clips),
        "stages": [
            {
                "stage": "lm",
                "key": "0123456789abcdef",
                "seconds": 61.0,
                "cpu_seconds": 120.0,
                "peak_memory": 2e9,
                "reused": True,
            }
        ],
        "provenance": PROVENANCE | {"command": "wordless run corpus.root='seven' stages=[tokenizer,lm]"},
    }


def trial(**changes: Any) -> dict[str, Any]:
    """The results of a run over several folds, which have no codebook, language model and sounds in common."""
    kept = {name: value for name, value in results().items() if name in ("corpus", "stages", "provenance")}
    example = comparison_example()
    trainings = {of: dict.fromkeys(example.folds, results()["curves"]["lm"]) for of in ("lm", "simclr")}
    costs = {"lm": {"lm": 90.0, "tokenizer": 10.0}, "simclr": {"simclr": 75.0}}
    return kept | {"figures": [], "comparison": replace(example, **{"trainings": trainings, "costs": costs, **changes})}


def run_folder(folder: Path, content: dict[str, Any], *, seconds: float = 0.2) -> Path:
    """A run folder with these results, and the sounds and pictures that they name."""
    rate, rng = 8000, np.random.default_rng(0)
    pictures: dict[str, np.ndarray] = {}
    sounds: dict[str, Any] = content.get("listening") or {"clips": [], "generated": []}
    files = [row["file"] for row in sounds["generated"]]
    files += [
        f"gross_pitch_error_{row['number']}_{kind}.wav"
        for row in sounds.get("gross_pitch_errors", ())
        for kind in row["sounds"]
    ]
    for number, clip in enumerate(sounds["clips"]):
        files += [f"{number}_{kind}.wav" for kind in clip["sounds"]]
        for kind in ("original", "autoencoder", "codebook"):
            pictures[f"{number}:{kind}"] = rng.normal(size=(20, 8)).astype(np.float32)
        pictures[f"{number}:codes"] = rng.integers(0, 4, (10, 1)).astype(np.int32)
    for file in files:
        noise = rng.normal(0, 0.1, round(seconds * rate)).astype(np.float32)
        Waveform(samples=noise, sample_rate=rate).write(folder / "listening" / file)
    if pictures:
        save_file(pictures, folder / "listening/pictures.safetensors")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(plain(content)))
    return folder


def plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """Results as they are stored."""
    found = dict(content)
    if isinstance(comparison := content.get("comparison"), Comparison):
        found["figures"] = [*content["figures"], *comparison.figures.to_dict("records")]
        found["comparison"] = comparison.as_section()
    values: dict[str, Any] = json.loads(json.dumps(found))
    return values


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def page_of(folder: Path, content: dict[str, Any]) -> Page:
    return Page(read(report_of(run_folder(folder, content))))


def warnings(page: Page) -> int:
    return sum(attributes.get("class") == "warning" for _, attributes in page.tags)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run with its report."""
    return report_of(run_folder(tmp_path_factory.mktemp("run"), results())).parent


def test_the_page_tells_the_whole_run(whole: Path) -> None:
    page = Page(read(whole / "report.html"))
    for told in (
        ("4 codes", "11 recordings", "1 h 2 min"),
        ("75.0 %", "WaveNet", "90.0 %", "originals", "60.0 %", "harmonics + comb", "50.0 %", "Griffin-Lim"),
        ("75.0 % 65.0 % to 85.0 %",),
        ("pitch 1,200 cents off", "V/UV error 25.0 %"),
        ("better", "SimCLR", "+"),
        ("seven.wav", "silent"),
        ("step 2 of 3",),
        ("harmonics + comb", "+15.0 (+5.0 to +25.0)", "Griffin-Lim", "+25.0"),
        ("V/UV errors", "+2.0 points (−1.0 to +5.0)"),
        ("STOI of WaveNet's sound", "0.875 from the recorded log-mel"),
        ("wordless run corpus.root='seven' stages=[tokenizer,lm]",),
        *(
            (word,)
            for word in ("commit 0123abc+changes", "torch 2.9.1", "Processor X", "34,000", "corpus.root=~/é {a}")
        ),
    ):
        assert says(page.text, *told), told
    assert "To add" not in page.text


def test_the_page_needs_nothing_but_itself_and_tells_what_cannot_be_seen(whole: Path) -> None:
    text = read(whole / "report.html")
    page = Page(text)
    for _, attributes in page.tags:
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert not page.named("script")
    assert not page.named("link")
    assert not re.search(r"url\(http|@import", text)
    for name in ("svg", "audio"):
        assert page.named(name)
        assert all(attributes.get("aria-label") for attributes in page.named(name))
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.named("th"))
    assert len(page.named("caption")) == len(page.named("table"))
    identifiers = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert set(identifiers.values()) == {1}
    links = {str(attributes.get("href")) for _, attributes in page.tags}
    assert {link[1:] for link in links if link.startswith("#")} <= set(identifiers)


def test_sounds_are_the_files_of_the_run_and_the_first_are_equally_loud(whole: Path) -> None:
    page = Page(read(whole / "report.html"))
    files = [base64.b64decode(str(player["src"]).partition(",")[2]) for player in page.named("audio")]
    kinds = ("original", "griffin_lim", "harmonics", "wavenet", "continuation_0.7_0", "continuation_1_0")
    names = ["gross_pitch_error_7_original.wav", "gross_pitch_error_7_wavenet.wav"]
    names += [*(f"{number}_{kind}.wav" for number in (1, 0) for kind in kinds), "unconditional_1_0.wav"]
    assert files[3:] == [(whole / "listening" / name).read_bytes() for name in names]  # behind those of the headline
    labels = [str(player["aria-label"]).partition(":")[0] for player in page.named("audio")[:3]]
    assert labels == ["Original", "WaveNet", "Continuation, temperature 0.7"]
    played = [soundfile.read(io.BytesIO(each))[0] for each in files[:3]]
    levels = [float(np.sqrt(np.mean(samples**2))) for samples in played]
    assert max(levels) == pytest.approx(min(levels), rel=1e-3)
    original = soundfile.read(whole / "listening/0_original.wav")[0]
    assert np.corrcoef(played[0], original)[0, 1] > 0.999
    assert "the first 0.1 s are the recording" in page.text


def test_codes_stand_in_a_table_with_their_sounds(tmp_path: Path) -> None:
    content = plain(results())
    nearest = [{"clip": f"{name}.wav", "step": 3, "file": f"1_{number}.wav"} for number, name in enumerate("ab")]
    rows = [
        {"code": code, "share": share, "spectrum": [0.0, 1.0, -1.0], "nearest": [], "label": "eight", "purity": 0.5}
        for code, share in enumerate((0.25, 0.75))
    ]
    rows[1]["nearest"] = nearest
    labels = {"classes": 2, "purity": 0.5, "mutual_information": 0.25}
    labels |= {"chance_purity": 0.4, "chance_mutual_information": 0.125}
    content["codes"] = {"clips": 30, "codes": rows, "shown": [1, 0], "labels": labels, "sound_seconds": 0.3}
    folder = run_folder(tmp_path, content)
    for number in range(2):
        Waveform(samples=np.full(800, 0.1, np.float32), sample_rate=8000).write(folder / f"code_sounds/1_{number}.wav")
    page = Page(read(report_of(folder)))
    assert says(page.text, "Mutual information", "0.250 bits", "0.125")
    assert page.text.index("1 75.0 % eight 50.0 %") < page.text.index("0 25.0 % eight 50.0 %")
    assert [row["aria-label"] for row in page.named("audio")][-2:] == ["code 1 in a.wav", "code 1 in b.wav"]
    (folder / "code_sounds/1_0.wav").unlink()
    with pytest.raises(InputError, match=r"1_0\.wav"):
        report_of(folder)


@pytest.mark.parametrize(
    "name", [HOSTILE, "\x1b[31mred \ud800 \u202egpj.wav a\nb", r"$\frac{x$ a^1 {{ 7 * 7 }} 日本語", ""]
)
def test_a_name_from_data_is_shown_as_text_and_nothing_else(tmp_path: Path, name: str) -> None:
    text = json.dumps(plain(results(clips=1)))
    for label in ("seven", "supervised_head", "speaker 2", "layer_2"):  # a class and file, a method, a group, a layer
        text = text.replace(label, json.dumps(name)[1:-1])
    page = page_of(tmp_path, json.loads(text))
    assert not page.named("script")
    assert not {*"\x1b\u202e"} & {*page.text}
    assert (name if name.isprintable() else name.encode("unicode_escape", "surrogatepass").decode()) in page.text
    charts = "".join(re.findall("<svg.*?</svg>", read(tmp_path / "report.html"), re.DOTALL))
    assert name != HOSTILE or name[:20] in Page(charts).text


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    first = report_of(run_folder(tmp_path / "a (run), b=c", results())).read_bytes()
    second = run_folder(tmp_path / "b", results())
    matplotlibrc = tmp_path / "matplotlibrc"
    matplotlibrc.write_text("font.size: 30\nsvg.fonttype: path\n")
    done = python("-c", DRAW, second, PYTHONHASHSEED="7", MATPLOTLIBRC=str(matplotlibrc))
    assert (done.returncode, done.stdout.strip()) == (0, str(second / "report.html")), done.stderr
    assert (second / "report.html").read_bytes() == first


WEAK = {"evaluator_title": "a linear probe of log-mel", "evaluator": "probe", "clips": 10, "right": 4, "answer": "yes"}


@pytest.mark.parametrize("weak", [None, WEAK | {"always": 5}])
def test_warnings_and_figures_of_zero_stand_out(weak: object, tmp_path: Path) -> None:
    content = plain(results())
    content["listening"]["warning"] = weak
    for row in content["listening"]["generated"][:2]:
        row["figures"]["silence"] = 0.9 if weak is None else 0.1
    content["codebook"]["verdict"] = "the codebook has collapsed" if weak is None else None
    content["figures"].append(figure("tokenizer", "dead_codes", 0.0))
    page = page_of(tmp_path, content)
    assert warnings(page) == (2 if weak is None else 1)
    assert ("40" in page.text.partition("recognises ")[2][:40]) == (weak is not None)
    assert says(page.text, "0: dead codes")


def test_the_page_says_how_often_each_training_read_its_recordings(tmp_path: Path) -> None:
    content = plain(results())
    content["codebook"]["sample"] = {"columns": 200_000, "drawn_from": 1_700_000}
    passes = "300 of 1,800 steps x 32 examples of 2 s = 0.73 passes of 4.4 hours"
    content["stages"] = [
        {**content["stages"][0], "stage": "vocoder", "key": str(seed), "fold": "test", "seed": seed, "passes": passes}
        for seed in range(3)
    ]
    page = page_of(tmp_path, content)
    assert says(page.text, "(test, seed 0)", passes, "(test, seed 1)", "(test, seed 2)")
    assert says(page.text, "200,000 of 1,700,000 patches")


@pytest.mark.parametrize("only", ["curves", "codebook", "comparison", "listening", "figures"])
def test_what_a_run_did_not_make_is_left_out(tmp_path: Path, only: str) -> None:
    page = page_of(tmp_path, {"figures": [], only: results(clips=1)[only]})
    assert "To add" in page.text
    assert (not page.named("svg")) == (only == "figures")


def test_a_study_leaves_out_what_folds_do_not_share_and_needs_no_gpt(tmp_path: Path) -> None:
    page = page_of(tmp_path, trial())
    assert says(page.text, "leave one group out", "5 folds", "george", "theo")
    assert "gpt/layer_1:mean (clipped at 2) (3×)" in page.text
    assert says(page.text, "differ by more than 20 %", "SimCLR 0.75 times")
    assert says(page.text, "tokenizer 10.0 s", "SimCLR", "0.75")
    equal = trial(costs={"lm": {"lm": 100.0}, "simclr": {"simclr": 85.0}})
    assert "differ by more than 20 %" not in page_of(tmp_path, equal).text
    sections = [str(attributes["id"]) for attributes in page.named("section")]
    assert sections == ["probes", "corpus", "stages", "reproduce"]
    assert [str(attributes["href"]) for attributes in page.named("a")] == [f"#{section}" for section in sections]
    assert len(page.named("svg")) == 7  # methods, layers, few labels, groups, confusions, two trainings
    rows = [row for row in comparison_example().rows() if row.of != "gpt" and row.share is None]
    page = page_of(tmp_path, trial(trainings={}, confusion={}, figures=frame(rows)))
    assert "The GPT" not in page.text
    assert "supervised CNN" in page.text


def test_every_fold_and_seed_has_a_row(tmp_path: Path) -> None:
    example = comparison_example(["a", "b", "c"], seeds=2)
    rows = [replace(row, layer=None, pooling=f"{row.fold}{row.seed}") if row.fold else row for row in example.rows()]
    page = page_of(tmp_path, trial() | {"comparison": replace(example, figures=frame(rows))})
    assert all(f"gpt:{fold}{seed}" in page.text for fold in "abc" for seed in (0, 1))
    assert all(f"{example.means(of, 'fold')['b']:.1%}".replace("%", " %") in page.text for of in example.methods)


def test_several_labels_have_no_guess_and_no_confusions(tmp_path: Path) -> None:
    rows = [
        replace(row, name=row.name.replace("accuracy", "mean_average_precision"))
        for row in comparison_example().rows()
        if row.group is None and row.name != "mean_average_precision"
    ]
    page = page_of(tmp_path, trial(metric="mean_average_precision", confusion={}, guessing=None, figures=frame(rows)))
    assert "test mean average precision" in page.text
    assert "guess" not in page.text
    labels = " ".join(str(chart["aria-label"]) for chart in page.named("svg"))
    assert not re.search("Confusion|groups", labels)


def ahead(against: str, low: float, high: float, of: str = "gpt") -> Row:
    return probe(of, (low + high) / 2, name="difference", against=against, low=low, high=high, p=0.03)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            [ahead("supervised_head", -0.11, -0.07, of="simclr"), ahead("simclr", -0.01, 0.02, of="log_mel")],
            [("SimCLR", "worse", "supervised CNN, own head"), ("log-mel", "includes 0")],
        ),
        ([ahead("simclr", 0.0, 0.1)], [("includes 0",)]),
        ([ahead("simclr", 1e-9, 1)], [("better",)]),
        ([ahead("simclr", -1, -1e-9)], [("worse",)]),
    ],
)
def test_a_sentence_of_each_reference_says_better_or_worse_where_the_interval_does(
    rows: list[Row], told: list[tuple[str, ...]], tmp_path: Path
) -> None:
    kept = [row for row in comparison_example().rows() if row.name != "difference"]
    content = trial(references=[row.of for row in rows], figures=frame([*kept, *rows]), trainings={}, confusion={})
    report_of(run_folder(tmp_path, content))
    found = [Page(each).text for each in re.findall('<p class="finding">(.*?)</p>', read(tmp_path / "report.html"))]
    assert all(says(sentence, *words) for sentence, words in zip(found, told, strict=True))


def test_the_strongest_rivals_stand_first_in_the_page_and_at_the_end_of_a_run(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, trial())
    record = read_results(folder)
    found = record["comparison"]
    values = {of: found.value(of) or 0.0 for of in found.methods}
    gpt, *rivals = values.pop("gpt"), *sorted(values, key=lambda of: -values[of])
    page = Page(read(report_of(folder))).text
    cards = re.findall(r"(\S+) points over (.*?) [−+]\d", page)
    assert cards == [(points(gpt - values[of]), full_name(of)) for of in rivals[:3]]
    told = [percent(gpt), full_name(rivals[0]), percent(values[rivals[0]])]
    assert says(page, *(each.replace(phrasing.NO_BREAK, " ") for each in told))
    worse = page.partition("The GPT is worse than")[2]
    assert worse.startswith(f" {full_name(rivals[0])} ({points(gpt - values[rivals[0]])}")
    lines = summary(record)
    methods = [line.split("  ")[0] for line in lines if "macro F1" in line]
    assert methods[:3] == ["supervised CNN, own head", "GPT over codes", "SimCLR"]
    assert any("GPT over codes against SimCLR" in line.replace(phrasing.NO_BREAK, " ") for line in lines)


def test_a_difference_whose_interval_includes_0_is_no_card(tmp_path: Path) -> None:
    rows = [row for row in comparison_example().rows() if row.name != "difference"]
    rows += [ahead("supervised_head", -0.2, 0.1), ahead("log_mel", 0.1, 0.3)]
    page = page_of(tmp_path, trial(figures=frame(rows))).text
    assert re.findall(r"points over (.*?) [−+]\d", page) == ["log-mel"]
    assert says(page, "interval of the difference, −20.0 to +10.0 points, includes 0")
    assert says(page, "includes 0 between the GPT and supervised CNN, own head")


def test_figures_with_few_labels_stand_first_where_all_labels_are_too_easy(tmp_path: Path) -> None:
    """A probe at its ceiling tells no methods apart."""
    kept = [row for row in comparison_example().rows() if row.share is None]
    rows = [replace(row, value=0.99) if row.name == "accuracy" else row for row in kept]
    few = [(10.0, 0.4, 0.5), (30.0, 0.7, 0.6), (100.0, 0.97, 0.96)]
    shared = {"low": 0.3, "high": 0.75}
    for labels, gpt, log_mel in few:
        rows += [
            probe(of, value, labels=labels, share=labels / 1000, **shared)
            for of, value in (("gpt", gpt), ("log_mel", log_mel))
        ]
    page = page_of(tmp_path, trial(figures=frame(rows))).text
    assert says(page, "With 30 labels, a linear probe", "70.0 % (30.0 % to 75.0 %)", "log-mel 60.0 %")
    assert says(page, "another method is above the GPT: log-mel with 10 (50.0 % against 40.0 %)")
    assert says(page, "40.0 % test accuracy of the GPT with 10 labels 50.0 % by log-mel")
    assert "points over" not in page


def test_the_headline_is_what_the_gpt_knows_and_codes_alone_do_not(tmp_path: Path) -> None:
    values = {"gpt": 0.925, "bigram": 0.59, "unigram": 0.56, "random_gpt": 0.5}
    test = {"test": "word_order", "items": 60, "pairs": 720, "voices": 12, "example": ["a b", "b a"]}
    content = results() | {"zerospeech": {"pairs": test}}
    content["figures"] += [figure("zerospeech", "word_order", value, of=of) for of, value in values.items()]
    content["figures"] += [
        figure("zerospeech", "difference", 0.925 - value, of="gpt", against=of, low=0.3, high=0.4, p=0.0)
        for of, value in values.items()
        if of != "gpt"
    ]
    page = page_of(tmp_path, content)
    top = page.text[: page.text.index("Probes: what")]
    for told in (("92.5 %", "720 pairs", "12 voices"), ("33.5 points more", "pairs of codes", "+30.0 to +40.0")):
        assert says(top, *told), told
    assert "GPT's states" not in top  # one question in the headline
    assert sum("720 pairs" in line for line in summary(read_results(tmp_path))) == 1


def test_too_few_test_clips_are_warned_of(tmp_path: Path) -> None:
    page = page_of(tmp_path, trial(clips=49, figures=frame(comparison_example().rows(name="accuracy", share=None))))
    assert "Warning: 49 test clips: " in page.text
    assert sum(line.startswith("Warning: ") for line in summary(read_results(tmp_path))) == 1
    assert not any(
        line.startswith("Warning: ") for line in summary(read_results(run_folder(tmp_path, trial(clips=50))))
    )


@pytest.mark.parametrize(("groups", "drawn"), [(1, False), (40, True), (41, False)])
def test_groups_are_drawn_where_they_can_be_read(groups: int, drawn: bool) -> None:
    charts = comparison_charts(comparison_example(["test"], groups=groups))
    assert ("groups" in {chart.name for chart in charts}) == drawn


def test_a_large_run_stays_a_small_page(tmp_path: Path) -> None:
    content = plain(results(clips=12))
    content["corpus"]["rejected"] = [{"path": f"{n}.wav", "reason": "silent"} for n in range(5000)]
    content["corpus"]["labels"] = {f"label {n}": 3 for n in range(3000)}
    content["codebook"]["counts"] = list(range(20_000))
    page = report_of(run_folder(tmp_path, content, seconds=10.0))
    assert page.stat().st_size < 6e6
    assert "4,980 more, in rejected.tsv" in read(page)
    assert says(read(page), "Left out", "<code>listening/3_wavenet.wav</code>")


def test_strange_values_are_drawn_too(tmp_path: Path) -> None:
    content = plain(results())
    content["curves"]["lm"]["curve"] = [{"step": 1, "train_loss": float("nan"), "validation_loss": float("inf")}]
    content["curves"]["vocoder"]["curve"] = []
    content["codebook"]["counts"] = [0, 0]
    content["codebook"]["kmeans"]["objective"] = []
    content["comparison"]["confusion"] = {}
    content["figures"] = [row for row in content["figures"] if row["stage"] != "probe"]
    content["figures"][0]["value"] = float("nan")
    assert "–" in page_of(tmp_path, content).text


SOUND = "listening/1_wavenet.wav"


@pytest.mark.parametrize(
    ("file", "content"),  # of a continuation, as the results name it; or a file of the run, and other content
    [
        *((file, None) for file in ("../../secret.txt", "../results.json", "/secret.txt", "..", "")),
        *((SOUND, "link"), (SOUND, "missing"), ("listening/pictures.safetensors", "no")),
        *(("results.json", content) for content in ("missing", "{", "[]")),
    ],
)
def test_no_file_but_a_whole_one_of_the_run_enters_the_page(file: str, content: str | None, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret" * 100)
    made: dict[str, Any] = {"figures": [], "listening": listening(2)}
    folder = run_folder(tmp_path / "run", made)
    if content is None:
        made["listening"]["generated"][0]["file"] = f"{tmp_path}{file}" if file.startswith("/") else file
        (folder / "results.json").write_text(json.dumps(made))
    else:
        (folder / file).unlink()
        if content == "link":
            (folder / file).symlink_to(tmp_path / "secret.txt")
        elif content != "missing":
            (folder / file).write_text(content)
    told = re.escape(Path(file).name) if content else "file name|missing"
    with pytest.raises(InputError, match=told):
        report_of(folder)
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize(("codes", "frames_per_code", "shown"), [(10, 2, 10), (900, 2, 200), (3, 500, 1)])
def test_codes_stand_below_their_frames(codes: int, frames_per_code: int, shown: int) -> None:
    pictures: Pictures = {
        f"0:{kind}": np.zeros((codes * frames_per_code, 8), np.float32)
        for kind in ("original", "autoencoder", "codebook")
    }
    pictures["0:codes"] = np.zeros((codes, 2), np.int32)
    rows = reconstruction(0, pictures, seconds=1.0, largest=3)
    page = Page(spectrogram_chart(rows, name="x", title="a clip", height=300).__html__())
    spans = []
    for image in page.named("image"):
        across, _, _, _, left, _ = (float(value) for value in re.findall(r"-?[\d.]+", str(image["transform"])))
        spans.append((round(left, 2), round(left + across * float(str(image["width"])), 2)))
    assert len(spans) == 4
    assert len(set(spans)) == 1
    assert [len(row.values) for row in rows] == [shown * frames_per_code] * 3 + [shown]


def test_layers_groups_and_confusions_stand_in_their_order() -> None:
    names = ["all_inner", "inner_2", "layer_10", "inner_1", "all_layers", "layer_2"]
    assert in_report_order(names) == ["layer_2", "layer_10", "all_layers", "inner_1", "inner_2", "all_inner"]
    labels = {"all_inner_with_input": "inner all + input", "all_blocks_with_input": "all + input", "layer_3": "3"}
    assert {name: layer_label(name) for name in labels} == labels
    assert ranked_groups({"gpt": {"b": 0.9, "a": 0.2}, "simclr": {"b": 0.1, "a": 0.4, "c": 0.8}}) == ["c", "b", "a"]
    assert comparison_example().guessing == pytest.approx(1 / 3)


@given(st.floats(min_value=-1e12, max_value=1e12))
def test_numbers_keep_three_digits(value: float) -> None:
    assert phrasing.number(999.7) == "1,000"
    shown = float(phrasing.number(value).replace(",", "").replace("−", "-"))
    assert shown == pytest.approx(value, rel=0.005, abs=0)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.25, "0.2 s"), (59.94, "59.9 s"), (59.99, "1 min 0 s"), (3725, "1 h 2 min"), (3599.9, "1 h 0 min")],
)
def test_durations_are_spoken(seconds: float, told: str) -> None:
    assert phrasing.duration(seconds) == told
