"""Text for people, terminals and model cards."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm.gpt import create_gpt
from lm.model import gpt_card
from lm.tokens import Vocabulary
from tests.lm.tiny import TINY, codes_format
from vocoder.vocoder_options import WaveNetConfig
from vocoder.wavenet import create_wavenet, vocoder_card
from wordless.base.messages import counted, escape, escape_markdown
from wordless.base.progress import Terminal


def test_words_are_counted_and_control_characters_escaped() -> None:
    assert [counted(count, "recording") for count in (0, 1, 2)] == ["0 recordings", "1 recording", "2 recordings"]
    assert [counted(count, "class", "classes") for count in (1, 3)] == ["1 class", "3 classes"]
    assert escape("a\x1b[2Jb\u202ec\nd") == "a\\x1b[2Jb\\u202ec\nd"
    assert escape("100.0\N{NO-BREAK SPACE}%") == "100.0\N{NO-BREAK SPACE}%"
    assert escape_markdown("anna_b-2 d'Été.x") == "anna_b-2 d'Été.x"


NASTY = "a_b](x)\n---\n<script>`*"


@given(st.text())
def test_nothing_that_markdown_reads_remains(text: str) -> None:
    assert not set('\n\r\t`*[]<>|\\"{}:!$~@=') & set(escape_markdown(text))


def test_cards_hold_names_of_groups_and_codebooks_as_text_alone() -> None:
    wavenet = WaveNetConfig(
        residual_channels=4, gate_channels=8, skip_channels=8, layers=2, cycles=1, groups=(NASTY, "b")
    )
    gpt = create_gpt(TINY, Vocabulary.of(codes_format()), seed=0)
    strange = replace(codes_format(), codebook=NASTY, tokenizer=NASTY)
    for card in (vocoder_card(create_wavenet(wavenet, seed=0), NASTY), gpt_card(gpt, strange)):
        assert "a_b&#93;" in card
        assert "<script>" not in card
        assert card.count("\n---\n") == 1


def test_a_name_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().say("\x1b]0;title\x07\x1b[31mred\u202e\x9b31m.wav: set aside")
    told = capsys.readouterr().err
    assert told.rstrip("\n").isprintable()
    assert "red" in told


def test_names_and_remedies_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    line = "night :owl: [bold]1.wav: ffmpeg -map 0:a:1 takes out the second"
    Terminal().say(line)
    assert capsys.readouterr().err == f"{line}\n"
