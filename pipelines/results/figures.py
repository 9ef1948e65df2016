"""The names of figures, with their units and titles."""

from dataclasses import dataclass
from typing import Final

from pipelines.extras.table import extras

OF_LAYER: Final = "layer_"  # begin of the names of figures of single layers
KEPT: Final = "kept"  # of a probe's right answers without noise, the share that is right with it
LARGEST_INPUT: Final = "largest_input"  # of a probe under noise
COSTS = ("seconds", "cpu_seconds", "peak_memory")  # figures of what a stage cost
LOST_CENTS = 200.0  # two semitones: a clip whose pitch error is larger has lost its pitch


@dataclass(frozen=True)
class Measure:
    name: str  # in results.json
    unit: str = "ratio"
    title: str = ""  # in tables and sentences; "": the name with spaces
    clips: str = ""  # title of the number of clips that have it, where others lack it
    paired: bool = False  # vocoders are compared by it on the same clips
    median: bool = False  # over the clips, instead of their mean, which a few clips decide

    def with_count(self) -> "tuple[Measure, ...]":
        """Return the measure and, where some clips lack it, the number of those that have it."""
        return (self, Measure(f"{self.name}_clips", "clips", self.clips)) if self.clips else (self,)


# titles of numbers of clips
_PITCHED = "clips with a pitch in prompt and continuation"
# Of the codebook, on validation clips.
CODEBOOK = (
    Measure("perplexity", "codes"),
    Measure("used_codes", "codes"),
    Measure("dead_codes", "codes"),
    Measure("bits_per_second", "bit/s"),
    Measure("reconstruction_mse", "normalised log-mel squared", "squared error before quantisation"),
    Measure("quantised_mse", "normalised log-mel squared", "squared error through the codebook"),
)
# Of decoded sound, in the order of the report's table.
SOUND = (
    Measure("bits_per_sample", "bit/sample", "bits per sample, on validation"),
    Measure("label_accuracy", paired=True),
    Measure("stoi", "STOI", "STOI", clips="clips long enough for STOI", paired=True),
    Measure("pesq", "MOS", "PESQ", clips="clips long enough for PESQ", paired=True),
    Measure("mel_cepstral_distortion", "dB", "mel-cepstral distortion"),
    Measure("log_mel_distance", "dB", "log-mel distance"),
    Measure(
        "median_pitch_error",
        "cents",
        "RMS error of the pitch, median of clips",
        clips="clips with a pitch in both",
        paired=True,
        median=True,
    ),
    Measure("lost_pitch", title=f"clips with an RMS error of the pitch above {LOST_CENTS:g} cents", paired=True),
    Measure("voicing_error", title="frames of wrong voicing", paired=True),
    Measure("dropouts", title="loud frames that drop out", paired=True),
    Measure("code_agreement", title="codes that agree", paired=True),
    Measure("periodicity", title="periodicity, how much of a voice there is", paired=True),
    Measure("rms", "dB re full scale", "RMS"),
    Measure("peak", "full scale"),
    Measure("dc", "full scale", "DC offset"),
    Measure("clipping"),
    Measure("silence"),
    Measure("clipped_clips"),
    Measure("silent_clips"),
    Measure("runaway_clips", title="clips with runaway noise"),
)
_OTHERS = (
    Measure("total_variation", title="total variation of code frequencies"),
    Measure("codes_per_second", "codes/s"),
    Measure("unigram_perplexity", "codes", "perplexity of code frequencies alone"),
    Measure("recoded_perplexity", "codes", "perplexity of the re-encoded sound"),
    Measure("other_perplexity", "codes", "perplexity under frequencies of pairs of codes"),
    Measure("auto_bleu", title="auto-BLEU, how much a sound repeats its codes and pairs"),
    Measure("predicted_pitch_error", "cents", "error of the pitch that the language model predicts"),
    Measure("predicted_voicing_error", title="wrong voicing of the pitch that the language model predicts"),
    Measure("pitch_from_prompt", "semitones", "median pitch, from the prompt's", _PITCHED),
    Measure("pitch_from_others", "semitones", "median pitch, from other prompts"),
    Measure("pitch_kept", "semitones", "how much nearer to the prompt's pitch than to others'"),
    Measure("distinct_1", title="different codes"),
    Measure("distinct_2", title="different pairs"),
    Measure("distinct_3", title="different triples"),
    Measure("macro_f1", title="macro F1"),
    Measure(KEPT, title="right answers of the probe without noise that are right with it"),
    Measure(LARGEST_INPUT, "deviations of train", "largest input of the probe, before it is bounded"),
    Measure("runaway_blocks", "blocks"),
    Measure("runaway_blocks_left", "blocks"),
    Measure("prompt_seconds", "s"),
    Measure("seconds", "s"),
    Measure("cpu_seconds", "s", "processor time"),
    Measure("peak_memory", "bytes"),
    Measure("parameters", "parameters"),
)
_OF_EXTRAS = (Measure(name, *of) for each in extras() for name, of in each.measures.items())
MEASURES = {each.name: each for measure in (*CODEBOOK, *SOUND, *_OTHERS, *_OF_EXTRAS) for each in measure.with_count()}
