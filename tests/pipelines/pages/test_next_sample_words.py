from pipelines.pages.phrasing import milliseconds, sentences
from pipelines.results.figures import Figure, Figures
from pipelines.results.run_record import Results
from tests.pipelines.pages_apart import says


def row(of: str, name: str, value: float, *, spread: float | None = None, against: str | None = None) -> Figure:
    figure = Figure(stage="next_sample", name=name, of=of, against=against, value=value, artifact="")
    low, high = (None, None) if spread is None else (value - spread, value + spread)
    return Figure(**{**vars(figure), "low": low, "high": high})


def model(of: str, accuracy: float, bits: float | None, *, rate: float | None = None) -> list[Figure]:
    measured = {"bits_per_sample": bits, "parameters": 1000, "multiply_adds": 900.0, "history": 1597}
    measured["samples_per_second"] = rate
    others = [row(of, name, value) for name, value in measured.items() if value is not None]
    return [row(of, "accuracy", accuracy, spread=0.01), *others]


NO_BREAK = "\N{NO-BREAK SPACE}"
PROTOCOL = {
    "seeds": 3,
    "sample_rate": 16_000,
    "samples": 5000,
    "steps": 100,
    "crops": 4,
    "crop_samples": 3200,
    "engines": {"wavenet": "numba", "transformer": "numba"},
    "trainings": {},
    "sounds": [],
    "clips": [],
}
DIFFERENCE = row("transformer", "difference", 0.01, spread=0.012, against="wavenet")
FIGURES = [
    *model("repeat", 0.1, None),
    *model("wavenet", 0.2, 4.0, rate=9000),
    *model("transformer", 0.21, 3.9, rate=800),
    DIFFERENCE,
    row("transformer", "bits_per_sample_difference", -0.1, spread=0.1, against="wavenet"),
]
RESULTS = Results(figures=Figures(FIGURES), next_sample=PROTOCOL)


def test_the_best_model_stands_beside_the_best_baseline() -> None:
    (told,) = sentences("best_of_samples", RESULTS)
    assert says(told.replace(NO_BREAK, " "), "5,000 samples", "transformer", "21.0 %", "last level", "10.0 %")


def test_a_difference_stands_beside_the_claim_of_the_paper() -> None:
    (told,) = sentences("sample_difference", DIFFERENCE, RESULTS)
    parts = ("Transformer", "WaveNet", "+1.0", "−0.2 to +2.2", "+5.0 %", "−0.100", "−0.200 to +0.000", "9 %")
    assert says(told.replace(NO_BREAK, " "), *parts)


def test_each_model_and_each_difference_has_a_line() -> None:
    lines = sentences("summary", RESULTS)
    assert len(lines) == 4
    parts = ("WaveNet", "20.0 %", "19.0 % to 21.0 %", "4.000 bits", "1,000 parameters", "9,000 samples/s")
    assert says(lines[1].replace(NO_BREAK, " "), *parts)


def test_samples_as_milliseconds() -> None:
    assert (milliseconds(1597, 16_000), milliseconds(1, 8000)) == ("99.8 ms", "0.125 ms")
