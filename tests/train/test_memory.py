from __future__ import annotations

import re

import pytest
import torch

from penwright.config import FinetuneConfig, build
from penwright.errors import OutOfRoomError
from penwright.model import GPT2, SIZES
from penwright.train.memory import Counts, Load, choose, list_options, predict
from penwright.weights.names import SIZES as PRETRAINED

SIZE = SIZES["355M"]


def wanted(**changes):
    values = {"method": "full", "width": 2, "micro_batch": 4, "length": 512, "batch_size": 4}
    return Load(**(values | changes))


@pytest.mark.parametrize("size", SIZES)
def test_the_counts_are_those_of_the_model(size):
    with torch.device("meta"):
        model = GPT2(SIZES[size])
    assert Counts.of(SIZES[size]).all == model.n_parameters


def test_less_memory_takes_smaller_micro_batches_and_then_other_methods():
    taken = []
    for gigabytes in (40, 8, 7, 4, 2, 1.3):
        option, _ = choose(SIZE, wanted(), int(gigabytes * 1e9), FinetuneConfig())
        assert option.fits
        assert option.memory.total <= gigabytes * 1e9
        taken.append((option.load.method, option.load.micro_batch))
    assert taken[0] == ("full", 4)
    methods = [method for method, _ in taken]
    assert sorted(methods, key=["full", "lean", "lora"].index) == methods
    assert set(methods) == {"full", "lean", "lora"}


def test_a_reason_is_given_where_the_first_choice_does_not_fit():
    assert choose(SIZE, wanted(), 10**11, FinetuneConfig())[1] == ""
    assert "so lean is taken" in choose(SIZE, wanted(), 4 * 10**9, FinetuneConfig())[1]
    option, _ = choose(SIZE, wanted(), 4 * 10**9, FinetuneConfig(), with_bf16=False)
    assert option.load.method == "lora", "lean computes in bfloat16, which is emulated there"


def test_what_does_not_fit_is_refused_with_what_would():
    with pytest.raises(OutOfRoomError, match=r"1558M|at the least.*--model 124M"):
        choose(SIZES["1558M"], wanted(), 10**9, FinetuneConfig())


@pytest.mark.parametrize("budget", [10**8, 10**9])
def test_only_pretrained_models_are_offered(budget):
    with pytest.raises(OutOfRoomError) as refused:
        choose(SIZES["1558M"], wanted(), budget, FinetuneConfig())
    (name,) = re.findall(r"--model (\w+)", refused.value.fix)
    assert name in ("base", *PRETRAINED)


def test_a_method_that_was_asked_for_is_taken():
    asked = build(FinetuneConfig, {"method": "lora"})
    assert choose(SIZE, wanted(), 10**11, asked)[0].load.method == "lora"
    asked = build(FinetuneConfig, {"method": "full", "micro_batch": 3})
    option, why = choose(SIZE, wanted(), 10**9, asked)
    assert (option.load.method, option.load.micro_batch, option.fits) == ("full", 3, False)
    assert "is likely to take" in why
    asked = build(FinetuneConfig, {"precision": "fp32"})
    with pytest.raises(OutOfRoomError):
        choose(SIZE, wanted(width=4), 2 * 10**9, asked)


def test_more_of_anything_never_takes_less():
    for option in list_options(SIZE, wanted(), 10**12):
        more = predict(SIZE, Load(**(option.load.__dict__ | {"length": 1024})))
        assert more.total >= option.memory.total
        assert all(value >= 0 for value in vars(option.memory).values())


def test_finetune_writes_down_what_it_chose(make_trainer):
    trainer = make_trainer("run", steps=2, method="lora")
    assert (trainer.plan.method, trainer.plan.why) == ("lora", "")
    assert make_trainer("other", steps=2).plan.method == "full"


def test_muon_keeps_one_average_of_the_layers_matrices_and_two_of_the_rest():
    counts = Counts.of(SIZE)
    state = predict(SIZE, wanted(optimizer="muon")).optimizer
    assert state == 4 * counts.matrices + 8 * (counts.head + counts.rest)
