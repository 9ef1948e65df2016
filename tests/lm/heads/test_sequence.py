"""Sequence: texts as targets, the CTC loss, decoding, error rates and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lm.heads.head import PooledTask
from lm.heads.options import FigureConfig, SequenceOptions
from lm.heads.sequence import SequenceTask, beam_search, error_rates
from lm.probing.comparison import measure
from lm.probing.vectors import FloatArray
from tests.lm.reference import edits, text_probabilities
from wordless.base.errors import InputError

FIGURES = FigureConfig(resamples=50)


def task(*texts: str, beam_size: int = 0, rate: float = 50) -> SequenceTask:
    options = SequenceOptions(dropout=0.0, beam_size=beam_size, least_steps_per_second=rate)
    return options.task(texts, [])


def path(own: SequenceTask, steps: str) -> FloatArray:
    """Logits of one alignment; "-" is the blank."""
    outputs = np.zeros((len(steps), 1 + len(own.characters)), np.float32)
    outputs[np.arange(len(steps)), [0 if c == "-" else 1 + own.characters.index(c) for c in steps]] = 9
    return outputs


def test_texts_become_numbers_of_characters() -> None:
    own = task("Two  threes", "wet")
    assert "".join(own.characters) == " ehorstw"
    assert own.targets(["wet", "a tee"]).tolist() == [[8, 2, 7, 0], [1, 7, 2, 2]]  # "a" was never learned
    assert SequenceOptions(lower_case=False).task(["Ab"], []).characters == ("A", "b")


@pytest.mark.parametrize(
    ("labels", "found"), [(["7", "seven", "8"], r"\b2 labels\b.*'7'"), (["..."], r"\b1 labels\b"), ([], "no label")]
)
def test_labels_without_letters_are_refused(labels: list[str], found: str) -> None:
    with pytest.raises(InputError, match=rf"head=sequence.*{found}"):
        SequenceOptions().require(labels)


def test_the_loss_is_the_logarithm_of_the_probability_of_all_alignments() -> None:
    own = task("ab")
    outputs = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    texts = ["ab", "bb"]
    summed, characters = own.loss(outputs, torch.tensor([5, 4]), own.targets(texts), training=True)
    wanted = [
        text_probabilities(outputs[clip, :steps].numpy(), own.characters)[text]
        for clip, (steps, text) in enumerate(zip((5, 4), texts, strict=True))
    ]
    assert characters == 4
    assert float(summed) == pytest.approx(-np.log(wanted).sum(), rel=1e-4)


def test_a_clip_without_room_for_its_text_does_not_spoil_a_batch() -> None:
    own = task("abb")
    outputs = torch.zeros(1, 3, 3, requires_grad=True)
    summed, _ = own.loss(outputs, torch.tensor([3]), own.targets(["abb"]), training=True)
    summed.backward()  # type: ignore[no-untyped-call]
    assert float(summed.detach()) == 0
    assert outputs.grad is not None
    assert bool(outputs.grad.isfinite().all())
    assert [own.fits("abb", states, states_per_second=50) for states in (3, 4)] == [False, True]
    assert own.fits("abb", 1, states_per_second=10)  # five steps


def test_few_states_give_several_steps_each() -> None:
    own = task("ab", rate=50)
    head, states = own.create(6, states_per_second=20), torch.randn(2, 4, 6)
    outputs, steps = head(states, torch.tensor([4, 2]))
    assert outputs.shape == (2, 12, 3)
    assert steps.tolist() == [12, 6]
    torch.testing.assert_close(outputs[1, 3:6].flatten(), head.linear(states[1, 1]))


def test_greedy_decoding_merges_repetitions_and_drops_blanks() -> None:
    own = task("the re")
    outputs = [path(own, "-tth-re-ee-"), path(own, "---"), path(own, " t  h ")]
    assert [row["text"] for row in own.rows(outputs)] == ["three", "", "t h"]


@pytest.mark.parametrize("texts", [("ab",), ("a b",)])
def test_beam_search_finds_the_most_probable_text(texts: tuple[str, ...]) -> None:
    own = task(*texts)
    for seed in range(12):
        outputs = 2 * np.random.default_rng(seed).normal(size=(4, 1 + len(own.characters))).astype(np.float32)
        probable = text_probabilities(outputs, own.characters)
        (found,) = beam_search([outputs], own.characters, beam_size=200)
        assert found == max(probable, key=lambda text: probable[text]).strip()


def test_beam_search_adds_the_alignments_that_greedy_decoding_does_not() -> None:
    own = task("a", beam_size=10)
    outputs = np.log(np.array([[0.6, 0.4], [0.6, 0.4]], np.float32))  # "": 0.36; "a": 0.64
    (row,) = own.rows([outputs])
    assert row == {"text": "a", "greedy": ""}


@given(one=st.text("abc", max_size=8), other=st.text("abc", min_size=1, max_size=8))
@settings(max_examples=60)
def test_errors_are_the_fewest_edits(one: str, other: str) -> None:
    rates = error_rates([one], [other])
    assert rates.parts[0, 0] == edits(one, other)
    assert rates.wholes[0] == len(other)


def test_the_error_rate_of_a_known_case() -> None:
    rates = error_rates(["sitting", "cat"], ["kitten", "cat"])
    assert float(measure(rates)[0, 0]) == pytest.approx(3 / 9)


def test_figures_of_known_texts() -> None:
    own = task("kitens", beam_size=5)
    outputs = [path(own, "k-i-t-t-e-n"), path(own, "s-i-t")]
    greedy, beam, right = own.figures(outputs, ["KITTEN", "set"], FIGURES)
    assert [each.name for each in (greedy, beam)] == [
        "character error rate, greedy",
        "character error rate, beam search",
    ]
    assert greedy.value == beam.value == pytest.approx(1 / 9)
    assert right.value == 0.5


def test_the_constant_answer_spells_the_central_text() -> None:
    own = task("cat", "hat", "hut", "hat")
    assert [row["text"] for row in own.rows([own.constant(["cat", "hat", "hut", "hat"])])] == ["hat"]
    assert [row["text"] for row in own.rows([own.constant(["tt"])])] == ["tt"]


def test_no_probe_of_pooled_states_can_spell() -> None:
    assert not isinstance(task("ab"), PooledTask)
