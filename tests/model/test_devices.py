"""The same numbers on a GPU as on a CPU, where other paths are taken."""

from __future__ import annotations

import pytest
import torch

from penwright.model import KVCache, chunked_cross_entropy, documents, token_logprobs
from tests.model.conftest import make, tiny
from tests.model.test_attention import pack
from tests.model.test_cache import padded, some_tokens

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]


def step(device: str, dtype: torch.dtype | None) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of packed documents, partly learned, and all gradients."""
    torch.manual_seed(1)
    model = make(tiny(), spread=0.1).to(device)
    documents_BT, positions_BT = pack([[20], [3, 2, 9], [5, 5]], 20)
    tokens_BT, targets_BT = torch.randint(61, (2, 3, 20))
    targets_BT = targets_BT.masked_fill((documents_BT < 0) | (torch.rand(3, 20) < 0.4), -100)
    with torch.autocast(device, dtype=dtype, enabled=dtype is not None):
        attend = documents(documents_BT, device)
        hidden_BTC = model(tokens_BT.to(device), positions_BT.to(device), attend)
        loss = chunked_cross_entropy(
            hidden_BTC.flatten(0, 1), model.head_weight_VC, targets_BT.flatten().to(device), 7
        )
    loss.backward()
    return loss.cpu(), torch.cat([p.grad.flatten().cpu() for p in model.parameters()])


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(None, 1e-4), (torch.bfloat16, 3e-2), (torch.float16, 1e-2)]
)
def test_loss_and_gradients(dtype, tolerance):
    loss, gradient = step("cpu", None)
    their_loss, their_gradient = step("cuda", dtype)
    assert their_loss.item() == pytest.approx(loss.item(), rel=tolerance)
    assert (gradient - their_gradient).norm() / gradient.norm() < tolerance


def test_logprobs():
    hidden_NC, weight_VC = torch.randn(50, 8), torch.randn(300, 8)
    targets_N = torch.randint(300, (50,)).masked_fill(torch.rand(50) < 0.3, -100)
    expected_N = token_logprobs(hidden_NC, weight_VC, targets_N)
    found_N = token_logprobs(hidden_NC.cuda(), weight_VC.cuda(), targets_N.cuda(), 9)
    torch.testing.assert_close(found_N.cpu(), expected_N, atol=1e-4, rtol=1e-4)


def test_cache():
    model = make(tiny()).eval().cuda()
    texts = [some_tokens(n) for n in (9, 2, 5)]
    cache = KVCache(model.config, 3, 40, device="cuda")
    cache.feed(model, padded(texts).cuda(), [9, 2, 5])
    cache.drop([0])
    last_BC = cache.feed(model, torch.tensor([[7], [8]], device="cuda"))
    for row, text in enumerate(([*texts[2], 7], [*texts[1], 8])):
        with torch.no_grad():
            alone_C = model(torch.tensor([text], device="cuda"))[0, -1]
        torch.testing.assert_close(last_BC[row], alone_C, atol=1e-4, rtol=1e-4)
