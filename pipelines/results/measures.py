"""What figures measure: the name, the unit and the title of each, and what is computed from its values.

A new figure is its value where it is measured and one line here. Results, tables, charts and trackers read this table.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A kind of figure."""

    name: str  # in results.json
    unit: str = "ratio"
    title: str = ""  # in tables and sentences; "": the name with spaces
    counted: bool = False  # some clips lack it, so the clips that have it are counted
    paired: bool = False  # kinds of sound are compared by it on the same clips


# Of the codebook, on validation clips; the name "stability" stands for several changes of the sound.
CODEBOOK = (
    Measure(name="perplexity", unit="codes"),
    Measure(name="used_codes", unit="codes"),
    Measure(name="dead_codes", unit="codes"),
    Measure(name="bits_per_second", unit="bit/s"),
    Measure(name="reconstruction_mse", unit="normalised log-mel squared", title="squared error before quantisation"),
    Measure(name="quantised_mse", unit="normalised log-mel squared", title="squared error through the codebook"),
)
# Of decoded sound, in the order of the report's table.
SOUND = (
    Measure(name="bits_per_sample", unit="bit/sample", title="bits per sample, on validation"),
    Measure(name="label_accuracy"),
    Measure(name="stoi", unit="STOI", title="STOI", counted=True, paired=True),
    Measure(name="stoi_clips", unit="clips", title="clips long enough for STOI"),
    Measure(name="pesq", unit="MOS", title="PESQ", counted=True, paired=True),
    Measure(name="pesq_clips", unit="clips", title="clips long enough for PESQ"),
    Measure(name="mel_cepstral_distortion", unit="dB", title="mel-cepstral distortion"),
    Measure(name="log_mel_distance", unit="dB", title="log-mel distance"),
    Measure(name="pitch_error", unit="cents", title="error of the pitch", counted=True, paired=True),
    Measure(name="pitch_error_clips", unit="clips", title="clips with a pitch in both"),
    Measure(name="voicing_error", title="frames of wrong voicing", paired=True),
    Measure(name="periodicity", title="periodicity, how much of a voice there is", paired=True),
    Measure(name="code_agreement", title="codes that agree"),
    Measure(name="rms", unit="dB re full scale", title="RMS"),
    Measure(name="peak", unit="full scale"),
    Measure(name="dc", unit="full scale", title="DC offset"),
    Measure(name="clipping"),
    Measure(name="silence"),
    Measure(name="clipped_clips"),
    Measure(name="silent_clips"),
    Measure(name="runaway_clips", title="clips with runaway noise"),
)
_OTHERS = (
    Measure(name="stability", title="codes that stay the same"),
    Measure(name="codes_per_second", unit="codes/s"),
    Measure(name="codebook_perplexity", unit="codes"),
    Measure(name="unigram_perplexity", unit="codes", title="perplexity of code frequencies alone"),
    Measure(name="recoded_perplexity", unit="codes", title="perplexity of the re-encoded sound"),
    Measure(name="coded_bits_per_second", unit="bit/s"),
    Measure(name="bits_per_real_second", unit="bit/s"),
    Measure(name="distinct_1", title="different codes"),
    Measure(name="distinct_2", title="different pairs"),
    Measure(name="distinct_3", title="different triples"),
    Measure(name="macro_f1", title="macro F1"),
    Measure(name="abx_error", title="ABX error"),
    Measure(name="label_kept", title="windows with the label of the prompt"),
    Measure(name="label_stability", title="neighbouring windows with the same label, where both sound"),
    Measure(name="label_lasting", title="neighbouring windows with the same label, of all"),
    Measure(name="runaway_blocks", unit="blocks"),
    Measure(name="runaway_blocks_left", unit="blocks"),
    Measure(name="prompt_seconds", unit="s"),
    Measure(name="seconds", unit="s"),
    Measure(name="peak_memory", unit="bytes"),
    Measure(name="parameters", unit="parameters"),
    Measure(name="training_steps", unit="steps"),
    Measure(name="multiply_adds", unit="multiply-adds/sample"),
    Measure(name="history", unit="samples"),
    Measure(name="samples_per_second", unit="samples/s"),
)
MEASURES = {measure.name: measure for measure in (*CODEBOOK, *SOUND, *_OTHERS)}


def unit_of(name: str) -> str:
    """Return the unit of a figure; a difference has that of its figure, and what is not in the table is a ratio."""
    if name.endswith("_difference_clips"):
        return "clips"
    measure = MEASURES.get(name.removesuffix("_difference"))
    return measure.unit if measure else "ratio"
