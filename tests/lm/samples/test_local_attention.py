import pytest
import soundfile  # noqa: F401  loads libsndfile, which fairseq2 would otherwise look for in the system
import torch
from fairseq2.models.transformer import AttentionBiasCache, CausalAttentionBias
from fairseq2.models.transformer.sdpa.torch import TorchSDPA
from fairseq2.nn import BatchLayout
from torch import Tensor

from lm.samples import local_attention
from lm.samples.local_attention import LocalAttention
from tests.lm.samples.reference import windowed_attention


def sequences(time: int, heads: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(time)
    q, k, v = (torch.randn(2, time, heads, 8, generator=generator).requires_grad_() for _ in range(3))
    return q, k, v


def attend(attention: LocalAttention | TorchSDPA, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    attended, weights = attention(q, BatchLayout.of(q), k, BatchLayout.of(k), v, AttentionBiasCache())
    assert weights is None
    return attended


@pytest.mark.parametrize("window", [1, 5, 8])
@pytest.mark.parametrize("time", [2, 7, 8, 9, 40])
def test_each_position_attends_to_its_window(time: int, window: int) -> None:
    q, k, v = sequences(time)
    torch.testing.assert_close(attend(LocalAttention(window), q, k, v), windowed_attention(q, k, v, window))


def test_its_gradients_are_those_of_fairseq2() -> None:
    q, k, v = sequences(30)
    ours, theirs = (
        torch.autograd.grad(attend(attention, q, k, v).square().sum(), [q, k, v])
        for attention in (LocalAttention(6), TorchSDPA(CausalAttentionBias(attn_window_len=6)))
    )
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("window", "time"), [(1, 7), (5, 40), (8, 9)])
def test_fused_attention_over_the_blocks_is_that_of_scores(window: int, time: int) -> None:
    q, k, v = sequences(time)
    plain, fused = (attend(LocalAttention(window, fused=fused), q, k, v) for fused in (False, True))
    torch.testing.assert_close(fused, plain)
    gradients = (torch.autograd.grad(each.square().sum(), [q, k, v]) for each in (fused, plain))
    torch.testing.assert_close(*gradients)


def test_fused_attention_keeps_no_scores_for_the_gradient() -> None:
    kept = []
    for fused in (False, True):
        storages = dict[int, int]()

        def note(tensor: Tensor, storages: dict[int, int] = storages) -> Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        q, k, v = (torch.randn(1, 2000, 4, 16, requires_grad=True) for _ in range(3))
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            result = attend(LocalAttention(400, fused=fused), q, k, v)
        assert result.requires_grad
        kept.append(sum(storages.values()))
    scores = 4 * 4 * 20 * 100 * 500  # float32, heads, blocks, queries, keys
    assert kept[0] > scores > kept[1]  # which holds a mask, and the keys and values of each block


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_blocks_in_parts_have_the_bits_of_all_blocks_at_once(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    """With the window and the width of heads of next_sample at 16 kHz."""
    found = []
    for blocks in (100, 4, 1):
        monkeypatch.setattr(local_attention, "CACHED_SCORES", blocks * 2 * 100 * 500)  # 2 matrices a block
        generator = torch.Generator().manual_seed(0)
        q, k, v = (torch.randn(1, 1023, 2, 32, generator=generator).to(dtype).requires_grad_() for _ in range(3))
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
            attended = attend(LocalAttention(400), q, k, v)
        found.append([attended, *torch.autograd.grad(attended.float().square().sum(), [q, k, v])])
    for parts in found[1:]:
        assert all(torch.equal(one, whole) for one, whole in zip(parts, found[0], strict=True))


def test_one_query_attends_to_all_keys_that_it_is_given() -> None:
    q, k, v = sequences(5)
    whole = windowed_attention(q, k, v, 5)[:, -1:]
    torch.testing.assert_close(attend(LocalAttention(5), q[:, -1:], k, v), whole)
