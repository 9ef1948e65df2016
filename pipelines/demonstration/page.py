"""The page of ``wordless demo``: Gradio's elements, and which answer fills which of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.events import Dependency
from markupsafe import Markup

from lm.probing.fitted import ProbeDescription
from pipelines.demonstration import elements as shown
from pipelines.demonstration.analysis import Analysis
from pipelines.demonstration.answers import AVERAGE, MOST_SECONDS, ContinuationView, DemoAnswers
from pipelines.demonstration.models import DemoModels
from vocoder.kinds import Kind

SCRIPT = Path(__file__).with_name("player.js")
STYLE = f"""
{shown.STYLE}
.warning {{ background: #fff3d6; color: #1c1f23; border-radius: .5rem; padding: .5rem .8rem; }}
.dark .warning {{ background: #3a3015; color: #e8e6e1; }}
.quiet {{ color: var(--muted); }}
.stream {{ display: none; }}
"""
SEVERAL = 5  # classes that are shown
AT_ONCE = 8  # users whose sounds are made in turns
Example = tuple[str, Path]  # name and file
TRIMMED = " It reads the sound without its ends that are {:g} dB softer than its loudest 20 ms, as it read its clips."
# Of all events. Nobody calls the page but its own script.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": AT_ONCE}
EMPTY = "<p class=quiet>Record or drop a sound: its spectrogram, codes and surprise appear here.</p>"


@dataclass(frozen=True, kw_only=True)
class SoundElements:
    """The elements that take and show a sound."""

    sound: gr.Audio
    problem: gr.HTML
    label: gr.Label | None  # None: the page names no label
    picture: gr.HTML
    facts: gr.HTML
    codes: gr.Textbox


@dataclass(frozen=True, kw_only=True)
class ContinuationElements:
    """The elements that continue a sound."""

    options: tuple[gr.Slider | gr.Number | gr.Radio, ...]  # after, seconds, temperature, seed, kind
    go_on: gr.Button
    stop: gr.Button
    stream: gr.Textbox
    status: gr.HTML
    player: gr.HTML


def create_page(answers: DemoAnswers, *, name: str, examples: list[Example]) -> gr.Blocks:
    """Build the page for what the models of a run can do."""
    models = answers.models
    with gr.Blocks(title=f"Wordless: {name}", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown(f"# Wordless\nThe models of `{name}`. Nothing leaves this machine.")
        analysis = gr.State(None)
        elements = _add_sound(models, examples)
        gr.Markdown("## Hear it from its codes")
        voice = _add_voices(models.groups)
        sounds = gr.HTML(elem_id="sounds")
        show = _show_sound(answers, elements, analysis)
        hear = _play_codes(answers, show, analysis, voice, sounds)
        elements.sound.change(None, cancels=hear)
        if models.language_model is not None:
            gr.Markdown("## Continue it")
            continuation = _add_continuation(models.kinds)
            run = _continue_sound(answers, continuation, analysis, voice)
            elements.sound.change(None, cancels=[run], js="() => { wordless.stop() }")
            _clear_continuation(show, continuation, analysis)
    return page


# Layout


def _add_sound(models: DemoModels, examples: list[Example]) -> SoundElements:
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
            gr.HTML(Markup("").join(Markup("<p class=quiet>{}</p>").format(each) for each in models.missing))
            label = None
            if models.probe is not None:
                label = gr.Label(label="Predicted label", num_top_classes=SEVERAL, elem_id="label")
                gr.HTML(Markup("<p class=quiet>{}</p>").format(describe_probe(models.probe.description)))
        with gr.Column(scale=5, min_width=320):
            picture = gr.HTML(elem_id="drawing", value=EMPTY)
            facts = gr.HTML(elem_id="facts")
            codes = gr.Textbox(label="Codes", lines=2, max_lines=6, buttons=["copy"], elem_id="codes")
    return SoundElements(sound=sound, problem=problem, label=label, picture=picture, facts=facts, codes=codes)


def _add_voices(groups: tuple[str, ...]) -> gr.Dropdown:
    choices = [AVERAGE, *groups]
    return gr.Dropdown(choices, value=AVERAGE, label="Voice of WaveNet", visible=bool(groups), elem_id="voice")


def _add_continuation(kinds: Sequence[Kind]) -> ContinuationElements:
    with gr.Row():
        after = gr.Slider(0, 1, value=1, step=0.01, label="Continue after, in seconds", elem_id="after")
        seconds = gr.Slider(0.5, MOST_SECONDS, value=3, step=0.5, label="New sound, in seconds", elem_id="seconds")
        temperature = gr.Slider(0, 2, value=0.9, step=0.05, label="Temperature of the GPT", elem_id="temperature")
    with gr.Row():
        headings = [(kind.heading, kind.key) for kind in kinds]
        kind = gr.Radio(headings, value=kinds[0].key, label="Sound", elem_id="kind")
        seed = gr.Number(0, precision=0, minimum=0, label="Seed", elem_id="seed")
    with gr.Row():
        go_on = gr.Button("Continue", variant="primary", elem_id="continue")
        stop = gr.Button("Stop", elem_id="stop")
    status = gr.HTML(elem_id="status")
    stream = gr.Textbox(elem_classes=["stream"], elem_id="stream", container=False)
    player = gr.HTML(elem_id="continued")
    options = (after, seconds, temperature, seed, kind)
    return ContinuationElements(options=options, go_on=go_on, stop=stop, stream=stream, status=status, player=player)


# Events


def _show_sound(answers: DemoAnswers, elements: SoundElements, analysis: gr.State) -> Dependency:
    """Show a sound as soon as it is there."""
    own = elements
    outputs = [analysis, own.problem, own.picture, own.facts, own.codes, *([own.label] if own.label else [])]

    def show(path: str | None) -> Iterator[dict[Any, object]]:
        yield {analysis: None}  # nothing more is made of the sound before
        view = answers.show(Path(path) if path else None)
        facts = Markup("<p>{}</p>").format(view.facts)
        values = [view.analysis, warning(view.problem), view.drawing or EMPTY, facts, view.codes, view.answers]
        yield dict(zip(outputs, values, strict=False))  # a page without a label has one output less

    return own.sound.change(show, [own.sound], outputs, trigger_mode="always_last", **PRIVATE)


def _play_codes(
    answers: DemoAnswers, show: Dependency, analysis: gr.State, voice: gr.Dropdown, sounds: gr.HTML
) -> list[Dependency]:
    """Fill the players after a sound is shown, and for each voice that is chosen."""
    return [
        event(answers.hear, [analysis, voice], [sounds], show_progress="hidden", **PRIVATE)
        for event in (show.then, voice.change)
    ]


def _continue_sound(
    answers: DemoAnswers, elements: ContinuationElements, analysis: gr.State, voice: gr.Dropdown
) -> Dependency:
    """Continue the sound after a click, until it is as long as wanted or the user stops it."""

    def run(
        current: Analysis | None, after: float, length: float, heat: float, seed: float | None, kind: str, group: str
    ) -> Iterator[tuple[str, str, str]]:
        views = answers.continue_it(
            current, after=after, seconds=length, temperature=heat, seed=int(seed or 0), kind=kind, voice=group
        )
        yield from map(_fields, views)

    inputs, outputs = [analysis, *elements.options, voice], [elements.stream, elements.status, elements.player]
    event = elements.go_on.click(run, inputs, outputs, show_progress="hidden", trigger_mode="once", **PRIVATE)
    elements.stop.click(None, cancels=[event])
    elements.stream.change(None, [elements.stream], None, js="(text) => { wordless.play(text) }")
    return event


def _fields(view: ContinuationView) -> tuple[str, str, str]:
    status = warning(view.problem) or Markup("<p class=quiet>{}</p>").format(view.status)
    return view.stream, status, view.player


def _clear_continuation(show: Dependency, elements: ContinuationElements, analysis: gr.State) -> None:
    """Clear the continuation of the sound before, and fit the slider to the new sound."""
    after, *_ = elements.options

    def clear(current: Analysis | None) -> tuple[gr.Slider, str, str, str]:
        longest = 1.0 if current is None else current.whole_steps / current.codes.format.codes_per_second
        return gr.Slider(maximum=longest, value=longest), "", "", ""

    outputs = [after, elements.stream, elements.status, elements.player]
    show.then(clear, [analysis], outputs, show_progress="hidden", **PRIVATE)


# Texts


def warning(text: str) -> Markup:
    """Write a line that a screen reader reads at once; nothing for no text."""
    return Markup('<p class="warning" role="alert">{}</p>').format(text) if text else Markup()


def describe_probe(about: ProbeDescription) -> str:
    """Say what the probe reads, how good it is, and what it cannot say."""
    measure = "mean average precision" if about.answer == "several" else "of the test clips are right"
    good = f"{100 * about.test_accuracy:.1f} % {measure}"
    chance = "" if about.answer == "several" else f", {100 * about.chance:.1f} % by the most frequent label"
    hearings = about.recipe.vectors.hearings
    mean = f" It was fitted to means over {hearings} hearings of each clip, and reads one here." if hearings > 1 else ""
    ends = "" if about.trim_db is None else TRIMMED.format(about.trim_db)
    values = " Its values are no probabilities, so none are shown." if about.answer == "value" else ""
    return (
        f"A linear probe of {about.of}: {good}{chance}. It knows {len(about.classes)} labels, and names one of them "
        f"for any sound.{mean}{ends}{values}"
    )
