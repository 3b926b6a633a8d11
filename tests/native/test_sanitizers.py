"""The kernels run under AddressSanitizer and UndefinedBehaviorSanitizer without a report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penwright.native import build
from tests.native.conftest import LIBRARIES, needs_library

pytestmark = [needs_library, pytest.mark.slow]

SANITIZE = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
PROGRAM = """
import sys
from pathlib import Path

from penwright.native import Choice, build
from penwright.native.packed import WEIGHTS, PackedModel
from tests.model.conftest import tiny
from tests.native.test_decoder import random_model

library = build.open_library(Path(sys.argv[1]), sys.argv[2])
for changes in (
    {"n_embd": 21, "n_head": 3, "n_inner": 45, "vocab_size": 67},
    {"n_embd": 64, "n_head": 1, "activation_function": "gelu", "tie_word_embeddings": False},
    {"n_embd": 64, "n_head": 2, "model_type": "openai-gpt"},
):
    model = random_model(tiny(n_positions=70, **changes), std=0.1)
    state = model.state_dict()
    for weights in WEIGHTS:
        decoder = PackedModel(model.config, state.__getitem__, library, weights, 3).decoder()
        decoder.enter([[1] * 33, [], [1] * 69, [2] * 32], [None, None, 0, None])
        decoder.feed([[3]] * 4)
        decoder.truncate([40, 1, 31, 32])
        decoder.feed([[1], [1, 2, 3], [1] * 39, [1] * 17], every=True)
        decoder.select([0, 1, 1, 3])
        kinds = ((0, 1.0, 0.0), (5, 0.9, 0.0), (0, 0.5, 0.0), (0, 1.0, 0.2))
        decoder.write([
            Choice(key=1, step=0, temperature=0.8, top_k=k, top_p=p, min_p=m, limit=20, last=4)
            for k, p, m in kinds
        ], [7], model.config.vocab_size - 1)
        decoder.drop([1, 2])
        decoder.feed([[5], [6]])
print("done")
"""


TRAINING = """
import sys
from pathlib import Path

import torch

from penwright.native import build
from penwright.native.kernels import Kernels, Trained, Weights
from tests.model.conftest import tiny
from tests.native.test_training import both, random_model

library = build.open_library(Path(sys.argv[1]), sys.argv[2])
documents_BT = torch.tensor([[0] * 33 + [1] * 37, [0, 1] + [2] * 68]).int()
for changes in (
    {"n_embd": 21, "n_head": 3, "n_inner": 45},
    {"n_embd": 64, "n_head": 1, "activation_function": "gelu"},
):
    config = tiny(n_positions=70, **changes)
    for products in ("onednn", "native"):
        kernels = Kernels(library, 3, products)
        both(random_model(config, narrow=False), kernels, documents_BT)
        both(random_model(config, narrow=True), kernels, documents_BT, narrow=True)
        logits_NV, targets_N = torch.randn(5, 67), torch.tensor([0, 66, -100, 3, 4])
        kernels.loss_grads(logits_NV, targets_N)
        weights = [torch.ones(n) for n in (1, 67, 40_000)]
        copy = torch.empty(67, dtype=torch.bfloat16)
        trained = [
            Trained(w, w.bfloat16(), w.clone(), w.clone(), copy if len(w) == 67 else None)
            for w in weights
        ]
        kernels.adamw(Weights(trained), 1.0, (0.9, 0.999), 1e-8)
        kernels.sum_squares(weights)
print("done")
"""


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sanitized") / "penwright.so"
    compiler = build.find_compiler()
    assert compiler is not None
    try:
        build.compile_into(path, compiler, SANITIZE)
    except build.BuildError as error:
        pytest.skip(f"no sanitizers: {error}")
    return path


@pytest.mark.parametrize("program", [PROGRAM, TRAINING], ids=["writing", "training"])
@pytest.mark.parametrize("variant", list(LIBRARIES))
def test_no_sanitizer_reports(sanitized, variant, program):
    runtime = subprocess.run(
        [*(build.find_compiler() or []), "-print-file-name=libasan.so"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    environment = os.environ | {
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", program, str(sanitized), variant],
        capture_output=True, text=True, check=False, env=environment,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == "done\n"
