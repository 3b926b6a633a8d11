"""Compiled blocks: one for all layers, the same numbers, and no run that ends because of them."""

from __future__ import annotations

import functools
import importlib.util
import shutil

import pytest
import torch
from torch._dynamo.utils import counters

from penwright.model import GPT2, GPT2Config, init_weights
from penwright.model.attention import MaskedDocuments
from penwright.train import replica
from penwright.train.compiled import choose_compile, compile_blocks, compile_failure
from tests.train.test_late import figures
from tests.train.test_loop import METHODS, Listening

pytestmark = pytest.mark.filterwarnings("default")  # torch's compiler meets some of its own


@pytest.fixture(autouse=True)
def compiler(monkeypatch):
    """torch.compile without its code generator: what is traced runs as torch's own operations.

    Documents are kept apart by a mask, as they are on a GPU.
    """
    compile_ = torch.compile

    def use(backend):
        monkeypatch.setattr(torch, "compile", functools.partial(compile_, backend=backend))

    use("aot_eager")
    monkeypatch.setattr(replica, "documents", lambda documents_BT, _: MaskedDocuments(documents_BT))
    torch._dynamo.reset()
    counters.clear()
    yield use
    torch._dynamo.reset()


def n_compiled() -> int:
    return counters["stats"]["unique_graphs"]


def test_all_layers_use_one_compiled_block():
    model = GPT2(GPT2Config(vocab_size=50, n_positions=16, n_embd=16, n_layer=12, n_head=2))
    init_weights(model, seed=0)
    model.set_dropout(0.0)
    tokens_BT = torch.randint(50, (2, 16))
    expected = model(tokens_BT).square().sum()
    expected.backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    compile_blocks(model)
    found = model(tokens_BT).square().sum()
    found.backward()
    assert n_compiled() == 1
    torch.testing.assert_close(found, expected)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"recompute": True, "batch_size": 5, "micro_batch": 2},
        {"shape": "rows", "batch_size": 3},
        {"dropout": 0.0, "max_length": 24, "shape": "windows"},
        METHODS["lean"],
        METHODS["lora in bf16"],
        METHODS["lora on bytes"],
    ],
    ids=str,
)
def test_a_compiled_run_is_the_run_but_for_rounding(make_trainer, options):
    options = {"steps": 8, "evaluate_every": 4, "learning_rate": 3e-3} | options
    plain = make_trainer("plain", **options)
    plain.train()
    trainer = make_trainer("compiled", compile="on", **options)
    trainer.train()
    assert trainer.plan.compile, "or it went on without"
    assert 1 <= n_compiled() <= 3
    near = 2e-2 if trainer.plan.precision == "bf16" else 1e-4
    for a, b in zip(plain.run.metrics(), trainer.run.metrics(), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=near)


def test_what_cannot_be_compiled_runs_as_it_is(make_trainer, compiler):
    def refuse(*_):
        raise ValueError("this backend is of no use\nand says so at length")

    compiler(refuse)
    heard = Listening()
    said = []
    heard.on_message = said.append
    options = {"steps": 5, "evaluate_every": 2}
    trainer = make_trainer("compiled", compile="on", observer=heard, **options)
    assert trainer.plan.compile
    trainer.train()
    assert len(said) == 1
    assert said[0].startswith("Blocks could not be compiled (")
    assert "this backend is of no use" in said[0]
    assert trainer.run.info["events"] == said
    assert trainer.run.info["plan"]["compile"] is False
    plain = make_trainer("plain", **options)
    plain.train()
    assert figures(plain.run) == figures(trainer.run)


def test_other_errors_are_no_failure_to_compile():
    assert compile_failure(RuntimeError("shapes do not fit")) == ""


@pytest.mark.parametrize(
    ("card", "triton", "capability", "expected"),
    [
        ("NVIDIA H200", True, (9, 0), [False, True]),
        ("A card of tomorrow", True, (12, 0), [False, True]),
        ("Tesla T4", True, (7, 5), [True, True]),
        ("Tesla P100", True, (6, 0), [False, False]),
        ("NVIDIA H200", False, (9, 0), [False, False]),
    ],
)
def test_it_is_chosen_where_it_pays(monkeypatch, card, triton, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: card)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: triton or None if name == "triton" else find(name)
    )
    gpu = torch.device("cuda")
    assert [choose_compile("auto", gpu, operations) for operations in (1e16, 1e18)] == expected
    assert choose_compile("on", gpu, 1.0)
    assert not choose_compile("off", gpu, 1e30)
    assert not choose_compile("auto", torch.device("cpu"), 1e30)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's compiler needs g++ on a CPU")
def test_the_code_generator_itself(make_trainer, compiler):
    compiler("inductor")
    test_a_compiled_run_is_the_run_but_for_rounding(make_trainer, {"recompute": True})
    assert n_compiled() >= 1
