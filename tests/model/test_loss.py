from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from penwright.model import chunked_cross_entropy, token_logprobs
from penwright.model import loss as loss_module

sizes = st.integers(0, 30), st.integers(1, 12), st.integers(2, 50)


def draw_problem(n: int, channels: int, vocabulary: int, hidden: float, dtype=torch.float64):
    hidden_NC = torch.randn(n, channels, dtype=dtype, requires_grad=True)
    weight_VC = torch.randn(vocabulary, channels, dtype=dtype, requires_grad=True)
    targets_N = torch.randint(vocabulary, (n,)).masked_fill(torch.rand(n) < hidden, -100)
    return hidden_NC, weight_VC, targets_N


def naive(hidden_NC, weight_VC, targets_N):
    return F.cross_entropy(hidden_NC @ weight_VC.T, targets_N, reduction="sum")


@settings(max_examples=80, deadline=None)
@given(*sizes, st.sampled_from([0.0, 0.3, 1.0]), st.integers(1, 40), st.integers(0, 10**6))
def test_value_and_gradients_equal_cross_entropy(n, channels, vocabulary, hidden, chunk, seed):
    torch.manual_seed(seed)
    hidden_NC, weight_VC, targets_N = draw_problem(n, channels, vocabulary, hidden)
    loss = chunked_cross_entropy(hidden_NC, weight_VC, targets_N, chunk)
    expected = naive(hidden_NC, weight_VC, targets_N)
    torch.testing.assert_close(loss, expected)
    ours = torch.autograd.grad(loss / 3, (hidden_NC, weight_VC))
    theirs = torch.autograd.grad(expected / 3, (hidden_NC, weight_VC))
    torch.testing.assert_close(ours, theirs)


@settings(max_examples=40, deadline=None)
@given(*sizes, st.integers(1, 40), st.integers(0, 10**6))
def test_rows_that_are_not_learned_are_harmless_where_they_are_not_left_out(
    n, channels, vocabulary, chunk, seed
):
    """As on a GPU, where picking the learned rows would make the host wait."""
    torch.manual_seed(seed)
    hidden_NC, weight_VC, targets_N = draw_problem(n, channels, vocabulary, 0.5)
    loss = loss_module._ChunkedCrossEntropy.apply(
        hidden_NC, weight_VC, targets_N, chunk, torch.float64, True, None
    )
    expected = naive(hidden_NC, weight_VC, targets_N)
    ours = torch.autograd.grad(loss, (hidden_NC, weight_VC))
    theirs = torch.autograd.grad(expected, (hidden_NC, weight_VC))
    torch.testing.assert_close((loss, *ours), (expected, *theirs))


@settings(max_examples=40, deadline=None)
@given(*sizes, st.integers(1, 40), st.integers(0, 10**6))
def test_token_logprobs(n, channels, vocabulary, chunk, seed):
    torch.manual_seed(seed)
    hidden_NC, weight_VC, targets_N = draw_problem(n, channels, vocabulary, 0.3)
    logprobs_N = token_logprobs(hidden_NC, weight_VC, targets_N, chunk)
    expected_N = -F.cross_entropy(hidden_NC @ weight_VC.T, targets_N, reduction="none")
    torch.testing.assert_close(logprobs_N, expected_N.detach() + 0.0)
    assert not logprobs_N.requires_grad


def test_a_tied_weight_gets_both_gradients():
    table = torch.nn.Embedding(20, 8)
    tokens_N, targets_N = torch.randint(20, (2, 15))

    def gradient(loss_of) -> torch.Tensor:
        table.zero_grad()
        (loss_of(table(tokens_N), table.weight, targets_N) * 0.1).backward()
        return table.weight.grad.clone()

    torch.testing.assert_close(gradient(chunked_cross_entropy), gradient(naive))


@pytest.mark.parametrize("frozen", ["hidden", "weight", "both"])
def test_only_what_is_asked_for_is_computed(frozen):
    hidden_NC, weight_VC, targets_N = draw_problem(20, 6, 30, 0.3)
    hidden_NC.requires_grad_(frozen == "weight")
    weight_VC.requires_grad_(frozen == "hidden")
    loss = chunked_cross_entropy(hidden_NC, weight_VC, targets_N, 7)
    torch.testing.assert_close(loss, naive(hidden_NC, weight_VC, targets_N))
    assert loss.requires_grad == (frozen != "both")
    if frozen != "both":
        wanted = weight_VC if frozen == "hidden" else hidden_NC
        (ours,) = torch.autograd.grad(loss, wanted)
        (theirs,) = torch.autograd.grad(naive(hidden_NC, weight_VC, targets_N), wanted)
        torch.testing.assert_close(ours, theirs)


def test_a_second_backward_is_refused_rather_than_wrong():
    hidden_NC, weight_VC, targets_N = draw_problem(20, 6, 30, 0.3)
    loss = chunked_cross_entropy(hidden_NC, weight_VC, targets_N)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="only once"):
        loss.backward()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_sums_in_float32(dtype, monkeypatch):
    """Close to float32, sums exact, gradients in the types of what they belong to."""
    monkeypatch.setattr(loss_module, "SLICE", 64)
    hidden_NC, weight_VC, targets_N = draw_problem(600, 32, 200, 0.2, torch.float32)
    expected = naive(hidden_NC, weight_VC, targets_N)
    with torch.autocast("cpu", dtype=dtype):
        loss = chunked_cross_entropy(hidden_NC, weight_VC, targets_N, 50)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=3e-3)
    ours = torch.autograd.grad(loss, (hidden_NC, weight_VC))
    theirs = torch.autograd.grad(expected, (hidden_NC, weight_VC))
    for our, their in zip(ours, theirs, strict=True):
        assert our.dtype == torch.float32
        assert (our - their).norm() / their.norm() < 2e-2


@pytest.mark.parametrize("scored", [False, True])
def test_logits_far_from_zero_lose_nothing_in_bf16(scored):
    """GPT-2's logits share a large negative part, which bfloat16 would round coarsely."""
    hidden_NC, weight_VC, targets_N = draw_problem(500, 64, 300, 0.0, torch.float32)
    hidden_NC, weight_VC = hidden_NC.detach() * 0.3 + 1, weight_VC.detach() * 0.3 - 1.5
    logits_NV = hidden_NC @ weight_VC.T
    assert logits_NV.mean() < -90
    exact_N = logits_NV.log_softmax(1).gather(1, targets_N[:, None])[:, 0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded_N = (hidden_NC @ weight_VC.T).float().log_softmax(1).gather(1, targets_N[:, None])
        if scored:
            ours_N = token_logprobs(hidden_NC, weight_VC, targets_N)
            assert (ours_N - exact_N).square().mean() < 0.02**2
        else:
            loss = chunked_cross_entropy(hidden_NC, weight_VC, targets_N)
            assert loss.item() == pytest.approx(-exact_N.sum().item(), rel=5e-4)
    assert (rounded_N[:, 0] - exact_N).square().mean() > 0.1**2


def test_narrow_weights_get_narrow_gradients():
    hidden_NC, weight_VC, targets_N = draw_problem(100, 16, 60, 0.2, torch.bfloat16)
    loss = chunked_cross_entropy(hidden_NC, weight_VC, targets_N, 9)
    loss.backward()
    assert loss.dtype == torch.float32
    assert hidden_NC.grad.dtype == weight_VC.grad.dtype == torch.bfloat16
    exact = [x.detach().float().requires_grad_() for x in (hidden_NC, weight_VC)]
    naive(*exact, targets_N).backward()
    assert (weight_VC.grad.float() - exact[1].grad).norm() / exact[1].grad.norm() < 2e-2


def test_no_tensor_of_all_logits_exists():
    """Neither forward nor backward allocates as much as the logits of all tokens take."""
    hidden_NC, weight_VC, targets_N = draw_problem(400, 4, 3000, 0.0, torch.float32)
    with torch.profiler.profile(profile_memory=True) as profile:
        chunked_cross_entropy(hidden_NC, weight_VC, targets_N, 20).backward()
    held = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    assert 0 < most < 400 * 3000 * 4 / 2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 300), st.integers(1, 40))
def test_rows_are_split_into_as_few_and_even_chunks_as_the_largest_allows(rows, most):
    slices = list(loss_module.split_rows(rows, 100, torch.device("cpu"), most))
    assert [n for part in slices for n in range(part.start, part.stop)] == list(range(rows))
    lengths = [part.stop - part.start for part in slices]
    assert len(lengths) == -(-rows // most)
    assert all(length <= most for length in lengths)
    assert not lengths or max(lengths) - min(lengths) < len(lengths)
