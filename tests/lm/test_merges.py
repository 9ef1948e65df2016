"""Byte-pair encoding of codes, a language model of merged codes, and exports to the Hugging Face Llama layout."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.batches import CodeSequences, TrainingBatches, loss, validation_batches
from lm.exports import CodesToLogits, export_huggingface
from lm.generation import Sampling
from lm.judging import bits_per_second, perplexities, score
from lm.layers import embed, states_over_time
from lm.model import LanguageModel
from lm.options import BatchConfig
from lm.tokens import LONGEST, Merges
from tests.lm.tiny import TINY, codes_format, random_codes, rates_format
from tests.reference import learned_merges, merged_codes
from tokenizer.codes import Codes, CodesFormat, IntArray, SoftCodes
from wordless.base.errors import InputError

PAIRS = ((0, 0), (7, 1), (2, 3), (9, 8))  # 00, 001, 23, 23001


def codebook(size: int) -> CodesFormat:
    """The format of codes of a codebook."""
    return replace(codes_format(), codebook_size=size)


MERGES = Merges(PAIRS, codebook(7))


@pytest.fixture(scope="module")
def merging() -> LanguageModel:
    """A model of seven codes and four runs of them."""
    return LanguageModel.create(TINY, codes_format(), seed=0, merges=MERGES)


def column(values: list[int]) -> IntArray:
    return np.array(values, np.int32).reshape(-1, 1)


def some_codes(steps: int, *, seed: int = 0) -> Codes:
    draws = np.random.default_rng(seed)
    runs = [[0, 0], [0, 0, 1], [2, 3], [2, 3, 0, 0, 1], [4], [5], [6], [1]]
    values = [code for place in draws.integers(len(runs), size=steps) for code in runs[place]][:steps]
    return Codes(values=column(values), num_samples=steps * 320, format=codes_format())


@given(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=40), min_size=1, max_size=8))
def test_merges_are_those_of_the_most_frequent_pairs(clips: list[list[int]]) -> None:
    # in runs of one code the library counts pairs that overlap in another way
    clips = [[code for at, code in enumerate(clip) if not at or clip[at - 1] != code] for clip in clips]
    merges = Merges.learn(map(column, clips), codebook(5), count=6)
    assert list(merges.pairs) == learned_merges(clips, 5, 6)


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(0, 30))
def test_codes_are_merged_as_the_oracle_merges_them(codes: list[int], count: int) -> None:
    training = np.random.default_rng(0).integers(4, size=(400, 1), dtype=np.int32)
    training = np.repeat(training, 1 + training[:, 0] % 3, axis=0)  # with runs
    merges = Merges.learn([training], codebook(4), count=count)
    tokens = merges.tokens(column(codes))
    assert tokens[:, 0].tolist() == merged_codes(codes, list(merges.pairs), 4)
    assert merges.codes(tokens)[:, 0].tolist() == codes
    assert merges.lengths[tokens].sum() == len(codes)


def test_tokens_are_unique_and_no_longer_than_the_limit() -> None:
    merges = Merges(((0, 0), (2, 0), (0, 2), (3, 1)), codebook(2))
    assert merges.num_tokens == 5
    assert merges.codes(column([4]))[:, 0].tolist() == [0, 0, 0, 1]
    merges = Merges.learn([np.zeros((100_000, 1), np.int32)], codebook(2), count=1000)
    assert 1 < merges.lengths.max() <= LONGEST


@pytest.mark.parametrize("pairs", [((0, 7),), ((-1, 0),), ((0, 0), *((at, at) for at in range(7, 17)))])
def test_merges_of_unknown_tokens_or_of_endless_runs_are_refused(pairs: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(InputError, match="merge"):
        Merges(pairs, codebook(7))


def test_a_saved_model_has_its_merges(merging: LanguageModel, tmp_path: Path) -> None:
    merging.save_pretrained(tmp_path / "lm")
    loaded, codes = LanguageModel.from_pretrained(tmp_path / "lm"), some_codes(50)
    assert loaded.merges is not None
    assert loaded.merges.pairs == PAIRS
    np.testing.assert_array_equal(loaded.log_probabilities(codes), merging.log_probabilities(codes))
    loaded.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again/config.json").read_bytes() == (tmp_path / "lm/config.json").read_bytes()
    config = json.loads((tmp_path / "lm/config.json").read_text())
    (tmp_path / "lm/config.json").write_text(json.dumps({**config, "merges": [[0, 99]]}))
    with pytest.raises(InputError, match="merge 0"):
        LanguageModel.from_pretrained(tmp_path / "lm")


@pytest.mark.parametrize("steps", [1, 2, 30, 200])  # within the context, and over several windows
def test_the_codes_of_a_token_share_its_log_probability(merging: LanguageModel, steps: int) -> None:
    codes = some_codes(steps)
    tokens = MERGES.tokens(codes.values)
    plain = LanguageModel(merging.gpt, codebook(MERGES.num_tokens))  # tokens as codes
    as_codes = Codes(values=tokens, num_samples=320 * len(tokens), format=plain.format)
    expected = plain.log_probabilities(as_codes)[:, 0]
    found = merging.log_probabilities(codes)
    assert found.shape == codes.values.shape
    ends = MERGES.lengths[tokens[:, 0]].cumsum()
    sums = [part.sum() for part in np.split(found[:, 0], ends[:-1])]
    np.testing.assert_allclose(sums, expected, rtol=1e-5)
    nats = -expected.sum() / steps
    assert merging.nats_per_code([codes]) == pytest.approx(nats, rel=1e-5)
    scored = score(merging, codes)
    assert scored.codes == steps
    assert scored.bits_per_second == pytest.approx(bits_per_second(nats, codes.format), rel=1e-5)


def test_states_stand_at_the_time_of_their_codes(merging: LanguageModel) -> None:
    codes = some_codes(60)
    states = merging.hidden_states(codes)
    assert states.shape == (1 + TINY.layers, 60, TINY.model_dim)
    lengths = MERGES.lengths[MERGES.tokens(codes.values)[:, 0]]
    token_of_code = torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths))
    for first, second in zip(range(59), range(1, 60), strict=True):
        same = bool((states[1:, first] == states[1:, second]).all())
        assert same == bool(token_of_code[first] == token_of_code[second])
    over_time = states_over_time(merging, codes, [1, 2])
    assert torch.equal(over_time, states[1:].transpose(0, 1).flatten(1))


def test_pooled_states_are_those_pooled_over_the_time_of_codes(merging: LanguageModel) -> None:
    clips = [some_codes(steps, seed=steps) for steps in (1, 2, 7, 90)]
    pooled = embed(merging, clips, poolings=("mean", "thirds", "max"))
    for number, codes in enumerate(clips):
        states = merging.hidden_states(codes).cpu().numpy()
        np.testing.assert_allclose(pooled["mean"][:, number], states.mean(1), atol=1e-5)
        np.testing.assert_allclose(pooled["max"][:, number], np.abs(states).max(1), atol=1e-5)
        if len(codes.values) == 90:
            thirds = np.concatenate([part.mean(1) for part in np.split(states, 3, axis=1)], axis=1)
            np.testing.assert_allclose(pooled["thirds"][:, number], thirds, atol=1e-5)


def test_a_model_that_reads_both_ways_pools_merged_codes_both_ways() -> None:
    model = LanguageModel.create(replace(TINY, backward=True), codes_format(), seed=0, merges=MERGES)
    pooled = embed(model, [some_codes(60)], poolings=("mean",))["mean"]
    assert pooled.shape == (1 + TINY.layers, 1, 2 * TINY.model_dim)
    forwards = model.hidden_states(some_codes(60)).numpy().mean(1)
    np.testing.assert_allclose(pooled[:, 0, : TINY.model_dim], forwards, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 40])
def test_continuations_last_as_long_as_asked_for(merging: LanguageModel, steps: int) -> None:
    prompts = [None, some_codes(11), some_codes(3, seed=1)]
    made = merging.generate_batch(prompts, seconds=0.02 * steps, sampling=Sampling(), seed=3)
    assert [len(each.values) for each in made] == [steps] * 3
    assert max(each.values.max() for each in made) < 7
    alone = merging.generate_batch(prompts[:2], seconds=0.02 * steps, sampling=Sampling(), seed=3)
    for one, other in zip(made, alone, strict=False):
        np.testing.assert_array_equal(one.values, other.values)
    streamed = list(merging.stream(prompts[0], seconds=0.02 * steps, sampling=Sampling(), seed=3))
    np.testing.assert_array_equal(np.concatenate([each.values for each in streamed]), made[0].values)
    assert all(len(each.values) == 1 for each in streamed)


def test_a_greedy_continuation_takes_the_most_probable_tokens(merging: LanguageModel) -> None:
    prompt = some_codes(9)
    made = merging.generate(prompt, seconds=0.3, temperature=0)
    tokens, expected = MERGES.tokens(prompt.values), list[int]()
    while len(MERGES.codes(column(expected))) < 15:
        read = np.concatenate([tokens, column(expected)])
        logits = merging.gpt(merging.tokens(read)[None])[0, -1]
        expected.append(int(logits.argmax()))
    np.testing.assert_array_equal(made.values, MERGES.codes(column(expected))[:15])


def test_a_continuation_is_merged_apart_from_its_prompt(merging: LanguageModel) -> None:
    prompt, more = some_codes(8), Codes(values=column([0, 1, 2, 3]), num_samples=4 * 320, format=codes_format())
    after = merging.log_probabilities_after(prompt, more)
    assert after.shape == (4, 1)
    tokens = np.concatenate([MERGES.tokens(prompt.values), MERGES.tokens(more.values)])
    whole = merging.gpt(merging.tokens(tokens)[None, :-1])[0].log_softmax(-1)
    expected = whole.gather(1, torch.from_numpy(tokens.astype(np.int64)))[len(MERGES.tokens(prompt.values)) :]
    assert after.sum() == pytest.approx(float(expected.detach().sum()), rel=1e-5)


def test_streams_rates_soft_codes_and_onnx_are_refused_in_one_line(merging: LanguageModel) -> None:
    with pytest.raises(InputError, match="3 streams"):
        LanguageModel.create(TINY, codes_format(3), seed=0, merges=MERGES)
    with pytest.raises(InputError, match="rates"):
        LanguageModel.create(TINY, rates_format(2, 1), seed=0, merges=MERGES)
    with pytest.raises(InputError, match="ONNX"):
        CodesToLogits(merging)
    codes = random_codes(5)
    soft = SoftCodes(codes=codes, bottlenecks=torch.zeros(5, 1, 2), codebooks=torch.eye(7, 2)[None], spacings=(1.0,))
    with pytest.raises(InputError, match="hard"):
        merging.reading(soft)


def test_the_exported_model_has_the_merges(merging: LanguageModel, tmp_path: Path) -> None:
    export_huggingface(merging, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["vocab_size"] == merging.gpt.vocabulary.size
    assert [tuple(pair) for pair in config["wordless"]["merges"]] == list(PAIRS)


def test_the_loss_is_that_of_each_code(merging: LanguageModel) -> None:
    clips = [some_codes(steps, seed=steps) for steps in (5, 40, 90)]
    sequences = CodeSequences.of([merging.reading(codes).values] for codes in clips)
    vocabulary, capacity, lengths = merging.gpt.vocabulary, merging.gpt.capacity, MERGES.lengths
    batches = list(validation_batches(sequences, vocabulary, batch_size=2, capacity=capacity, lengths=lengths))
    assert sum(batch.codes for batch in batches) == 5 + 40 + 90
    with torch.no_grad():
        nats = sum(float(loss(merging.gpt, batch)[0]) for batch in batches)
    assert nats / 135 == pytest.approx(merging.nats_per_code(clips), rel=1e-5)
    training = TrainingBatches(sequences, vocabulary, BatchConfig(batch_size=4), capacity=capacity, lengths=lengths)
    batch = training.batch(0, 0, 1)
    assert batch.codes == MERGES.lengths[batch.targets[batch.targets >= 0]].sum()


def test_a_model_of_merged_codes_is_measured_by_its_codes(merging: LanguageModel) -> None:
    clips = [some_codes(60, seed=seed) for seed in range(3)]
    found = perplexities(merging, clips, clips)
    tokens = sum(len(MERGES.tokens(codes.values)) for codes in clips)
    assert found["codes_per_token"] == 180 / tokens
    assert found["bits_per_second"] == pytest.approx(50 * np.log2(found["perplexity"]))


@pytest.fixture(params=[1, 3], ids=["one_stream", "three_streams"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return LanguageModel.create(TINY, codes_format(request.param), seed=0)


@torch.no_grad()
def test_transformers_loads_a_model_with_equal_logits(model: LanguageModel, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    export_huggingface(model, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokens = model.tokens(random_codes(8, streams=model.format.streams).values)[None]
    torch.testing.assert_close(
        loaded(tokens).logits, model.gpt.transformer.final_proj(model.gpt.decoded(tokens)), rtol=0, atol=1e-5
    )
    assert type(loaded).__name__ == "LlamaForCausalLM"
    vocabulary = model.gpt.vocabulary
    for config in (loaded.config, loaded.generation_config):
        assert (config.bos_token_id, config.pad_token_id, config.eos_token_id) == (vocabulary.bos, vocabulary.pad, None)


def test_its_generate_draws_no_token_that_is_no_sound(model: LanguageModel, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    export_huggingface(model, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    torch.manual_seed(0)
    tokens = loaded.generate(max_new_tokens=20, do_sample=True, num_return_sequences=8)
    assert int(tokens[:, 1:].max()) < model.gpt.vocabulary.codes


def test_a_model_of_several_codes_at_a_position_is_refused(tmp_path: Path) -> None:
    model = LanguageModel.create(replace(TINY, interleaving="parallel"), codes_format(3), seed=0)
    with pytest.raises(InputError, match="interleaving=flattening"):
        export_huggingface(model, tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_the_readme_says_how_codes_become_ids_and_its_example_runs(model: LanguageModel, tmp_path: Path) -> None:
    export_huggingface(model, tmp_path)
    card, config = (tmp_path / "README.md").read_text(), json.loads((tmp_path / "config.json").read_text())
    assert "no text tokenizer" in card
    assert config["wordless"] == model.format.as_dict()
    assert f"`{model.format.codebook}`" in card
    example = card.partition("```python\n")[2].partition("```")[0].replace("path/of/this/folder", str(tmp_path))
    prompt = model.tokens(random_codes(4, streams=model.format.streams).values)[1:].tolist()
    names: dict[str, Any] = {"codes_of_a_recording": prompt}
    exec(example, names)
    assert names["ids"].tolist() == [[model.gpt.vocabulary.bos, *prompt]]
    assert 0 <= int(names["codes"].min()) <= int(names["codes"].max()) < model.format.codebook_size
