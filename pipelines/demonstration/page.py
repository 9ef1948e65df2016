"""The page of ``wordless demo``: Gradio's elements, and which answer fills which of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from lm.probing.fitted import ProbeDescription
from pipelines.demonstration import drawing, players
from pipelines.demonstration.analysis import Analysis
from pipelines.demonstration.answers import AVERAGE, Continued, DemoAnswers
from pipelines.demonstration.continuing import MOST_SECONDS

SCRIPT = Path(__file__).with_name("player.js")
STYLE = f"""
{drawing.STYLE}{players.STYLE}
.warning {{ background: #fff3d6; color: #1c1f23; border-radius: .5rem; padding: .5rem .8rem; }}
.dark .warning {{ background: #3a3015; color: #e8e6e1; }}
.quiet {{ color: var(--muted); }}
.stream {{ display: none; }}
"""
SEVERAL = 5  # classes that are shown
AT_ONCE = 8  # users whose sounds are made in turns
Example = tuple[str, Path]  # name and file


def create_page(answers: DemoAnswers, *, name: str, examples: list[Example]) -> gr.Blocks:
    """Build the page for what the models of a run can do."""
    models = answers.models
    with gr.Blocks(title=f"Wordless: {name}", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown(f"# Wordless\nThe models of `{name}`. Nothing leaves this machine.")
        analysis = gr.State(None)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                sound = gr.Audio(
                    sources=["upload", "microphone"],
                    type="filepath",
                    label="A sound",
                    elem_id="sound",
                    editable=False,
                    buttons=[],
                )
                problem = gr.HTML(elem_id="problem")
                gr.HTML('<p id="refused" class="warning" role="alert" hidden></p>')
                if examples:
                    names, files = [each for each, _ in examples], [[str(file)] for _, file in examples]
                    gr.Examples(files, inputs=[sound], label="Test recordings of the run", example_labels=names)
                gr.HTML(Markup("").join(Markup("<p class=quiet>{}</p>").format(each) for each in models.missing))
                if models.probe is not None:
                    label = gr.Label(label="What the probe says", num_top_classes=SEVERAL, elem_id="label")
                    gr.HTML(Markup("<p class=quiet>{}</p>").format(describe_probe(models.probe.description)))
            with gr.Column(scale=5, min_width=320):
                drawn = gr.HTML(elem_id="drawing", value=EMPTY)
                facts = gr.HTML(elem_id="facts")
                codes = gr.Textbox(label="Codes", lines=2, max_lines=6, buttons=["copy"], elem_id="codes")
        gr.Markdown("## Hear it from its codes")
        voice = _voices(models.groups)
        heard = gr.HTML(elem_id="heard")

        def show(path: str | None) -> dict[Any, object]:
            shown = answers.show(Path(path) if path else None)
            updates: dict[Any, object] = {
                analysis: shown.analysis,
                problem: warning(shown.problem),
                drawn: shown.drawing or EMPTY,
                facts: Markup("<p>{}</p>").format(shown.facts),
                codes: shown.codes,
            }
            if models.probe is not None:
                updates[label] = shown.answers
            return updates

        outputs = [analysis, problem, drawn, facts, codes, *([label] if models.probe is not None else [])]
        private = {"api_visibility": "private", "concurrency_limit": AT_ONCE}
        changed = sound.change(show, [sound], outputs, trigger_mode="always_last", **private)
        changed.then(answers.hear, [analysis, voice], [heard], show_progress="hidden", **private)
        voice.change(answers.hear, [analysis, voice], [heard], show_progress="hidden", **private)
        if models.language_model is not None:
            _add_continuation(answers, sound=changed, analysis=analysis, voice=voice, private=private)
    return page


EMPTY = "<p class=quiet>Record or drop a sound: its spectrogram, codes and surprise appear here.</p>"


def _voices(groups: tuple[str, ...]) -> gr.Dropdown:
    choices = [AVERAGE, *groups]
    return gr.Dropdown(choices, value=AVERAGE, label="Voice of WaveNet", visible=bool(groups), elem_id="voice")


def _add_continuation(
    answers: DemoAnswers, *, sound: Any, analysis: gr.State, voice: gr.Dropdown, private: dict[str, Any]
) -> None:
    """Add the part of the page that continues a sound."""
    kinds = [(kind.heading, kind.key) for kind in answers.models.kinds]
    gr.Markdown("## Continue it")
    with gr.Row():
        after = gr.Slider(0, 1, value=1, step=0.01, label="Continue after, in seconds", elem_id="after")
        seconds = gr.Slider(0.5, MOST_SECONDS, value=3, step=0.5, label="New sound, in seconds", elem_id="seconds")
        temperature = gr.Slider(0, 2, value=0.9, step=0.05, label="Temperature of the GPT", elem_id="temperature")
    with gr.Row():
        kind = gr.Radio(kinds, value=kinds[0][1], label="Sound", elem_id="kind")
        seed = gr.Number(0, precision=0, minimum=0, label="Seed", elem_id="seed")
    with gr.Row():
        go_on = gr.Button("Continue", variant="primary", elem_id="continue")
        stop = gr.Button("Stop", elem_id="stop")
    status = gr.HTML(elem_id="status")
    stream = gr.Textbox(elem_classes=["stream"], elem_id="stream", container=False)
    player = gr.HTML(elem_id="continued")

    def run(
        known: Analysis | None, start: float, length: float, heat: float, number: float | None, key: str, own: str
    ) -> Iterator[tuple[str, str, str]]:
        seed = int(number or 0)
        made = answers.continue_it(known, after=start, seconds=length, temperature=heat, seed=seed, kind=key, voice=own)
        yield from map(_continued, made)

    def fit(known: Analysis | None) -> tuple[Any, str, str, str]:
        longest = 1.0 if known is None else known.whole_steps / known.codes.format.codes_per_second
        return gr.Slider(maximum=longest, value=longest), "", "", ""

    asked = [analysis, after, seconds, temperature, seed, kind, voice]
    running = go_on.click(run, asked, [stream, status, player], show_progress="hidden", trigger_mode="once", **private)
    stop.click(None, cancels=[running])
    stream.change(None, [stream], None, js="(text) => { wordless.play(text) }")
    sound.then(fit, [analysis], [after, stream, status, player], show_progress="hidden", **private)


def _continued(each: Continued) -> tuple[str, str, str]:
    told = warning(each.problem) or Markup("<p class=quiet>{}</p>").format(each.status)
    return each.stream, told, each.player


def warning(text: str) -> Markup:
    """Write a line that a screen reader reads at once; nothing for no text."""
    return Markup('<p class="warning" role="alert">{}</p>').format(text) if text else Markup()


def describe_probe(about: ProbeDescription) -> str:
    """Say what the probe reads, how good it is, and what it cannot say."""
    measure = "mean average precision" if about.answer == "several" else "of the test clips are right"
    good = f"{100 * about.test_accuracy:.1f} % {measure}"
    chance = "" if about.answer == "several" else f", {100 * about.chance:.1f} % by the most frequent label"
    heard = about.recipe.vectors.hearings
    hearings = f" It was fitted to means over {heard} hearings of each clip, and reads one here." if heard > 1 else ""
    values = " Its values are no probabilities, so none are shown." if about.answer == "value" else ""
    return (
        f"A linear probe of {about.of}: {good}{chance}. It knows {len(about.classes)} labels, and names one of them "
        f"for any sound.{hearings}{values}"
    )
