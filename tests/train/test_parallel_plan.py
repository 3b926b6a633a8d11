"""The memory of a rank, and which way of training on several devices is chosen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penwright.config import FinetuneConfig, build
from penwright.errors import UsageError
from penwright.model import SIZES
from penwright.train.memory import BUCKET_BYTES, Load, choose, predict
from penwright.train.plan import check_parallel

CONFIG = SIZES["124M"]
ONE = Load(method="full", width=4, micro_batch=4, length=256, batch_size=4)


def test_ddp_takes_a_bucket_more_and_fsdp_a_share():
    two = replace(ONE, devices=2)
    one, ddp, fsdp = (predict(CONFIG, load) for load in (ONE, two, replace(two, shard=True)))
    assert ddp.total - one.total == BUCKET_BYTES
    assert fsdp.optimizer == one.optimizer // 2
    assert fsdp.total < 0.9 * ddp.total
    many = predict(CONFIG, replace(two, shard=True, devices=64))
    assert many.optimizer < one.optimizer / 60
    assert many.weights < 0.5 * one.weights, "the embeddings and two blocks are whole"


def test_fsdp_is_taken_where_ddp_does_not_fit():
    asked = build(FinetuneConfig, {})
    wanted = replace(ONE, devices=2)
    need = predict(CONFIG, replace(wanted, recompute=True, micro_batch=1)).total
    taken = [choose(CONFIG, wanted, int(need * share), asked)[0].load for share in (2, 0.95)]
    assert [load.shard for load in taken] == [False, True]
    assert [load.method for load in taken] == ["full", "full"]
    assert not choose(CONFIG, ONE, int(need * 0.95), asked)[0].load.shard


@pytest.mark.parametrize(
    "options", [{"method": "lean"}, {"optimizer": "muon"}, {"method": "lora", "quantize": True}]
)
def test_fsdp_refuses_what_needs_whole_weights(options):
    config = build(FinetuneConfig, {"parallel": "fsdp", **options})
    with pytest.raises(UsageError, match="fsdp cannot divide"):
        check_parallel(config, "fp32", 2)
    with pytest.raises(UsageError, match="needs several devices"):
        check_parallel(config, "fp32", 1)
