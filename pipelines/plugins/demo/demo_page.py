"""The page of ``wordless demo``: Gradio's elements, and which answer fills which of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import gradio as gr
import numpy as np
from markupsafe import escape

from lm.probing.probe import ProbeDescription
from pipelines.plugins.demo.answers import MOST_SECONDS, Analysis, DemoAnswers, missing_parts
from wordless.audio.waveform import Waveform
from wordless.base.files import file_hash
from wordless.base.messages import InputError

STYLE = """
.chart { display: block; width: 100%; height: auto; }
.chart text { font-family: inherit !important; }
.wide { display: none; }
@media (min-width: 900px) { .wide { display: block; } .narrow { display: none; } }
:root { --ink: #1c1f23; --muted: #5a6068; --line: #dedbd3; --blue: #00558c; --orange: #b84e00; --card: #ffffff; }
.dark { --ink: #f2f0eb; --muted: #b0b6be; --line: #363c44; --blue: #7cc4f5; --orange: #f0a04b; --card: #1c2025; }
"""
# Of all events: nobody calls the page but its own script, and the sounds of so many users are made in turns.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 8}
PLAYER: dict[str, Any] = {"interactive": False, "buttons": ["download"]}  # no button that uploads a sound
EMPTY = "Record or drop a sound: its spectrogram, codes and surprisal appear here."
NO_SOUND = "There is no sound to continue yet; record one, or drop a file."
Played = tuple[int, Any]  # sample rate, and samples of 16 bits


def create_page(answers: DemoAnswers, *, name: str, examples: list[tuple[str, Path]]) -> gr.Blocks:
    """Build the page for what the models of a run can do; it opens with the first of ``examples``, names and files."""
    models = answers.models
    with gr.Blocks(title=f"Wordless: {name}", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown(f"# Wordless\nThe models of `{name}`. Nothing leaves this machine.")
        analysis = gr.State(None)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                names, files = [each for each, _ in examples], [str(file) for _, file in examples]
                sources: list[Literal["upload", "microphone"]] = ["upload", "microphone"]
                sound = gr.Audio(
                    *files[:1],
                    sources=sources,
                    type="filepath",
                    label="A sound",
                    elem_id="sound",
                    editable=False,
                    buttons=[],
                )
                if examples:
                    gr.Examples(files, inputs=[sound], label="Test recordings of the run", example_labels=names)
                gr.Markdown("\n\n".join(missing_parts(models)))
                label = list[gr.Label | gr.Markdown]()
                if models.probe is not None:
                    label = [gr.Label(label="Predicted label", num_top_classes=5, elem_id="label")]
                    label.append(gr.Markdown(elem_id="known"))
                    gr.Markdown(describe_probe(models.probe.description))
            with gr.Column(scale=5, min_width=320):
                picture = gr.HTML(elem_id="drawing", value=EMPTY)
                facts = gr.Markdown(elem_id="facts")
                codes = gr.Textbox(label="Codes", lines=2, max_lines=6, buttons=["copy"], elem_id="codes")
        gr.Markdown("## Hear it from its codes")
        voices = [("average of all voices", ""), *((group, group) for group in models.groups)]
        voice = gr.Dropdown(voices, value="", label="Voice of WaveNet", visible=len(voices) > 1, elem_id="voice")
        with gr.Row(elem_id="sounds"):
            titles = ["Recording, as the models read it", *(kind.heading for kind in models.kinds)]
            players = [gr.Audio(label=title, min_width=270, **PLAYER) for title in titles]
        gr.Markdown(" ".join(kind.explanation for kind in models.kinds))
        shown, known = [analysis, picture, facts, codes, *label], {file_hash(file): each for each, file in examples}

        def show(path: str | None) -> list[object]:
            """Show a sound as soon as it is there."""
            values: list[object] = [None, EMPTY, "", "", None, ""]
            try:
                if path:
                    found = answers.show(Path(path))
                    values = [found, found.drawing, found.facts(), found.codes_text(), found.answers]
                    truth = known.get(file_hash(Path(path)))
                    values.append(f"True label: **{escape(truth)}**" if truth else "")
            except InputError as error:
                gr.Warning(escape(str(error)), duration=None)
            return values[: len(shown)]  # a page without a probe has fewer outputs

        def hear(current: Analysis | None, group: str) -> Iterator[list[Played | None]]:
            for made in [[]] if current is None else answers.hear(current, group):
                yield [*map(played, made), *[None] * (len(players) - len(made))]

        # What is still being made of the sound before ends first.
        changing = [sound.change, *([page.load] if examples else [])]
        showing = gr.on(changing, show, [sound], shown, trigger_mode="always_last", **PRIVATE)
        running = [
            event(hear, [analysis, voice], players, show_progress="hidden", **PRIVATE)
            for event in (showing.then, voice.change)
        ]
        if models.language_model is not None:
            gr.Markdown("## Continue it")
            with gr.Row():
                after = gr.Slider(0, 1, value=1, step=0.01, label="Continue after, in seconds", elem_id="after")
                seconds = gr.Slider(
                    0.5, MOST_SECONDS, value=3, step=0.5, label="New sound, in seconds", elem_id="seconds"
                )
                heat = gr.Slider(0, 2, value=0.9, step=0.05, label="Temperature of the GPT", elem_id="temperature")
            with gr.Row():
                headings = [(kind.heading, kind.key) for kind in models.kinds]
                kind = gr.Radio(headings, value=headings[0][1], label="Sound", elem_id="kind")
                seed = gr.Number(0, precision=0, minimum=0, label="Seed", elem_id="seed")
            with gr.Row():
                go_on = gr.Button("Continue", variant="primary", elem_id="continue")
                stop = gr.Button("Stop", elem_id="stop")
            status = gr.Markdown(elem_id="status")
            continued = gr.Audio(label="Sound and continuation", elem_id="continued", **PLAYER)

            def run(
                current: Analysis | None, after: float, seconds: float, heat: float, seed: int, kind: str, voice: str
            ) -> Iterator[tuple[str, Played | None]]:
                """Continue the sound after a click, until it is as long as wanted or the user stops it."""
                try:
                    if current is None:
                        raise InputError(NO_SOUND)
                    options = {"after": after, "seconds": seconds, "temperature": heat}
                    pieces = answers.continue_it(current, **options, seed=int(seed or 0), kind=kind, voice=voice)
                    for line, whole in pieces:
                        yield line, None if whole is None else played(whole)
                except InputError as error:
                    gr.Warning(escape(str(error)), duration=None)
                    yield "", None

            def clear(current: Analysis | None) -> tuple[gr.Slider, str, None]:
                """Clear the continuation of the sound before, and fit the slider to the new sound."""
                longest = 1.0 if current is None else current.longest_prompt
                return gr.Slider(maximum=longest, value=longest), "", None

            inputs = [analysis, after, seconds, heat, seed, kind, voice]
            running.append(
                go_on.click(run, inputs, [status, continued], show_progress="hidden", trigger_mode="once", **PRIVATE)
            )
            stop.click(None, cancels=running[-1:])
            showing.then(clear, [analysis], [after, status, continued], show_progress="hidden", **PRIVATE)
        sound.change(None, cancels=running)
    return page


def played(sound: Waveform) -> Played:
    """Return a sound for a player, in 16 bits; Gradio would make other samples as loud as possible."""
    return sound.sample_rate, np.clip(np.rint(32768 * sound.samples), -32768, 32767).astype(np.int16)


def describe_probe(about: ProbeDescription) -> str:
    """Say what the probe reads, how good it is, and what it cannot say."""
    measure = "mean average precision" if about.answer == "several" else "of the test clips are right"
    good = f"{100 * about.test_accuracy:.1f} % {measure}"
    if about.answer != "several":
        good += f", {100 * about.chance:.1f} % by the most frequent label"
    text = f"A linear probe of {about.of}: {good}. It names one of its {len(about.classes)} labels for any sound."
    if (augmentations := about.recipe.vectors.test_time_augmentation) > 1:
        text += f" It was fitted to means over {augmentations} augmented versions of each clip, and reads one here."
    if about.trim_db is not None:
        text += f" It reads the sound without ends that are {about.trim_db:g} dB softer than its loudest 20 ms."
    return text + (" Its values are no probabilities, so none are shown." if about.answer == "value" else "")
