"""The page of ``wordless demo``: Gradio's elements, and which answer fills which of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from markupsafe import Markup

from lm.probing.fitted import ProbeDescription
from pipelines.demonstration.answers import AVERAGE, MOST_SECONDS, Analysis, DemoAnswers
from wordless.base.errors import InputError

SCRIPT = Path(__file__).with_name("refuse.js")
STYLE = """
.chart { display: block; width: 100%; height: auto; }
.chart text { font-family: inherit !important; }
.wide { display: none; }
@media (min-width: 900px) { .wide { display: block; } .narrow { display: none; } }
:root { --ink: #1c1f23; --muted: #5a6068; --line: #dedbd3; --blue: #0067a5; --orange: #b84e00; --card: #ffffff; }
.dark { --ink: #e8e6e1; --muted: #a5abb3; --line: #363c44; --blue: #62b5ee; --orange: #f0a04b; --card: #1c2025; }
.players { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: .75rem 1rem; }
.players b { display: block; font-weight: 600; }
.players small { display: block; color: var(--muted); min-height: 1.2em; }
.players audio { display: block; width: 100%; height: 2.6rem; margin: .3rem 0; color-scheme: light; }
.dark .players audio { color-scheme: dark; }
.warning { background: #fff3d6; color: #1c1f23; border-radius: .5rem; padding: .5rem .8rem; }
.dark .warning { background: #3a3015; color: #e8e6e1; }
.quiet { color: var(--muted); }
"""
# Of all events: nobody calls the page but its own script, and the sounds of so many users are made in turns.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 8}
EMPTY = "<p class=quiet>Record or drop a sound: its spectrogram, codes and surprise appear here.</p>"
NO_SOUND = "There is no sound to continue yet; record one, or drop a file."


def create_page(answers: DemoAnswers, *, name: str, examples: list[tuple[str, Path]]) -> gr.Blocks:
    """Build the page for what the models of a run can do; ``examples`` are names and files."""
    models = answers.models
    with gr.Blocks(title=f"Wordless: {name}", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown(f"# Wordless\nThe models of `{name}`. Nothing leaves this machine.")
        analysis = gr.State(None)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                sources: list[Literal["upload", "microphone"]] = ["upload", "microphone"]
                sound = gr.Audio(
                    sources=sources, type="filepath", label="A sound", elem_id="sound", editable=False, buttons=[]
                )
                problem = gr.HTML(elem_id="problem")
                gr.HTML('<p id="refused" class="warning" role="alert" hidden></p>')
                if examples:
                    names, files = [each for each, _ in examples], [[str(file)] for _, file in examples]
                    gr.Examples(files, inputs=[sound], label="Test recordings of the run", example_labels=names)
                gr.HTML(Markup("").join(map(quiet, models.missing)))
                label = []
                if models.probe is not None:
                    label = [gr.Label(label="Predicted label", num_top_classes=5, elem_id="label")]
                    gr.HTML(quiet(describe_probe(models.probe.description)))
            with gr.Column(scale=5, min_width=320):
                picture = gr.HTML(elem_id="drawing", value=EMPTY)
                facts = gr.HTML(elem_id="facts")
                codes = gr.Textbox(label="Codes", lines=2, max_lines=6, buttons=["copy"], elem_id="codes")
        gr.Markdown("## Hear it from its codes")
        voices = [AVERAGE, *models.groups]
        voice = gr.Dropdown(voices, value=AVERAGE, label="Voice of WaveNet", visible=len(voices) > 1, elem_id="voice")
        sounds = gr.HTML(elem_id="sounds")
        shown = [analysis, problem, picture, facts, codes, *label]

        def show(path: str | None) -> Iterator[dict[Any, object]]:
            """Show a sound as soon as it is there; a sound that cannot be used is a line that says why."""
            yield {analysis: None}  # nothing more is made of the sound before
            values: list[object] = [None, "", EMPTY, "", "", None]
            try:
                if path:
                    found = answers.show(Path(path))
                    about = Markup("<p>{}</p>").format(found.facts())
                    values = [found, "", found.drawing, about, found.codes_text(), found.answers]
            except InputError as error:
                values[1] = warning(str(error))
            yield dict(zip(shown, values, strict=False))  # a page without a label has one output less

        def hear(current: Analysis | None, group: str) -> Iterator[Markup]:
            yield from [Markup()] if current is None else answers.hear(current, group)

        showing = sound.change(show, [sound], shown, trigger_mode="always_last", **PRIVATE)
        running = [
            event(hear, [analysis, voice], [sounds], show_progress="hidden", **PRIVATE)
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
            status = gr.HTML(elem_id="status")
            continued = gr.HTML(elem_id="continued")

            def run(
                current: Analysis | None, after: float, seconds: float, heat: float, seed: int, kind: str, voice: str
            ) -> Iterator[tuple[Markup, Markup]]:
                """Continue the sound after a click, until it is as long as wanted or the user stops it."""
                try:
                    if current is None:
                        raise InputError(NO_SOUND)
                    options = {"after": after, "seconds": seconds, "temperature": heat}
                    views = answers.continue_it(current, **options, seed=int(seed or 0), kind=kind, voice=voice)
                    for line, player in views:
                        yield quiet(line), player
                except InputError as error:
                    yield warning(str(error)), Markup()

            def clear(current: Analysis | None) -> tuple[gr.Slider, str, str]:
                """Clear the continuation of the sound before, and fit the slider to the new sound."""
                longest = 1.0 if current is None else current.longest_prompt
                return gr.Slider(maximum=longest, value=longest), "", ""

            inputs = [analysis, after, seconds, heat, seed, kind, voice]
            running.append(
                go_on.click(run, inputs, [status, continued], show_progress="hidden", trigger_mode="once", **PRIVATE)
            )
            stop.click(None, cancels=running[-1:])
            showing.then(clear, [analysis], [after, status, continued], show_progress="hidden", **PRIVATE)
        sound.change(None, cancels=running)
    return page


def quiet(text: str) -> Markup:
    return Markup("<p class=quiet>{}</p>").format(text)


def warning(text: str) -> Markup:
    """Write a line that a screen reader reads at once."""
    return Markup('<p class="warning" role="alert">{}</p>').format(text)


def describe_probe(about: ProbeDescription) -> str:
    """Say what the probe reads, how good it is, and what it cannot say."""
    measure = "mean average precision" if about.answer == "several" else "of the test clips are right"
    good = f"{100 * about.test_accuracy:.1f} % {measure}"
    if about.answer != "several":
        good += f", {100 * about.chance:.1f} % by the most frequent label"
    text = f"A linear probe of {about.of}: {good}. It knows {len(about.classes)} labels, and names one of them for any "
    text += "sound."
    if (hearings := about.recipe.vectors.hearings) > 1:
        text += f" It was fitted to means over {hearings} hearings of each clip, and reads one here."
    if about.trim_db is not None:
        text += f" It reads the sound without its ends that are {about.trim_db:g} dB softer than its loudest 20 ms, as "
        text += "it read its clips."
    return text + (" Its values are no probabilities, so none are shown." if about.answer == "value" else "")
