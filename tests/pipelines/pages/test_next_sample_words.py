from pipelines.pages.next_sample_words import difference_sentence, milliseconds, sample_lines, sample_sentence
from pipelines.results.next_sample_record import (
    IntervalRecord,
    NextSampleRecord,
    SampleDifferenceRow,
    SampleModelRow,
    SpeedRecord,
)


def row(of: str, accuracy: float, bits: float | None, *, rate: float | None = None) -> SampleModelRow:
    return SampleModelRow(
        of=of,
        accuracy=IntervalRecord(value=accuracy, low=accuracy - 0.01, high=accuracy + 0.01),
        bits_per_sample=None if bits is None else IntervalRecord(value=bits, low=None, high=None),
        parameters=1000,
        multiply_adds=900.0,
        history=1597,
        speed=None if rate is None else SpeedRecord(samples_per_second=rate, engine="numba"),
    )


RECORD = NextSampleRecord(
    models=[row("repeat", 0.1, None), row("wavenet", 0.2, 4.0, rate=9000), row("transformer", 0.21, 3.9, rate=800)],
    differences=[
        SampleDifferenceRow(
            of="transformer",
            against="wavenet",
            accuracy=IntervalRecord(value=0.01, low=-0.002, high=0.022),
            bits_per_sample=IntervalRecord(value=-0.1, low=-0.2, high=0.0),
        )
    ],
    seeds=3,
    sample_rate=16_000,
    samples=5000,
    steps=100,
    crops=4,
    crop_samples=3200,
    trainings={},
    sounds=[],
    clips=[],
)


def test_the_best_model_stands_beside_the_best_baseline() -> None:
    assert sample_sentence(RECORD) == (
        "Of 5,000 samples of test clips the transformer predicts 21.0\N{NO-BREAK SPACE}% exactly; the best baseline, "
        "the last level again, 10.0\N{NO-BREAK SPACE}%."
    )


def test_a_difference_stands_beside_the_claim_of_the_paper() -> None:
    assert difference_sentence(RECORD["differences"][0], RECORD) == (
        "Transformer minus WaveNet: +1.0 points of accuracy (−0.2 to +2.2), a relative difference of +5.0 %; −0.100 "
        "bits per sample (−0.200 to +0.000). Verma and Chafe (2021) report up to 9 % more accuracy."
    )


def test_each_model_and_each_difference_has_a_line() -> None:
    lines = list(sample_lines(RECORD))
    assert len(lines) == 4
    words = "WaveNet 20.0 % (19.0 % to 21.0 %) 4.000 bits per sample 1,000 parameters 9,000 samples/s"
    assert lines[1].split() == words.split()


def test_samples_as_milliseconds() -> None:
    assert (milliseconds(1597, 16_000), milliseconds(1, 8000)) == ("99.8 ms", "0.125 ms")
