"""Every public name of gpt-2-simple, with its parameters and their defaults."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import penwright.compat.gpt_2_simple as gpt2

DELIMITER = "====================\n"
START, END = "<|startoftext|>", "<|endoftext|>"
WRITING = {
    "prefix": None, "seed": None, "nsamples": 1, "batch_size": 1, "length": 1023,
    "temperature": 0.7, "top_k": 0, "top_p": 0.0, "include_prefix": True,
}  # fmt: skip
PLACE = {
    "run_name": "run1", "checkpoint_dir": "checkpoint", "model_name": None, "model_dir": "models",
}  # fmt: skip
NEEDED = inspect.Parameter.empty
OLD = {
    "download_gpt2": {"model_dir": "models", "model_name": "124M"},
    "is_gpt2_downloaded": {"model_dir": "models", "model_name": "124M"},
    "start_tf_sess": {"threads": -1, "server": None},
    "reset_session": {"sess": NEEDED, "threads": -1, "server": None},
    "get_available_gpus": {},
    "finetune": {
        "sess": NEEDED, "dataset": NEEDED, "steps": -1, "model_name": "124M",
        "model_dir": "models", "combine": 50000, "batch_size": 1, "learning_rate": 0.0001,
        "accumulate_gradients": 5, "restore_from": "latest", "run_name": "run1",
        "checkpoint_dir": "checkpoint", "sample_every": 100, "sample_length": 1023,
        "sample_num": 1, "multi_gpu": False, "save_every": 1000, "print_every": 1,
        "max_checkpoints": 1, "use_memory_saving_gradients": False,
        "only_train_transformer_layers": False, "optimizer": "adam", "overwrite": False,
        "reuse": False,
    },
    "load_gpt2": {
        "sess": NEEDED, "checkpoint": "latest", "run_name": "run1",
        "checkpoint_dir": "checkpoint", "model_name": None, "model_dir": "models",
        "multi_gpu": False, "reuse": False,
    },
    "generate": {
        "sess": NEEDED, **PLACE, "sample_dir": "samples", "return_as_list": False,
        "truncate": None, "destination_path": None, "sample_delim": DELIMITER, **WRITING,
    },
    "generate_to_file": {
        "sess": NEEDED, **PLACE, "truncate": None, "destination_path": "gpt_2_gen_texts.txt",
        "sample_delim": DELIMITER, **WRITING,
    },
    "encode_csv": {
        "csv_path": NEEDED, "out_path": "csv_encoded.txt", "header": True,
        "start_token": START, "end_token": END,
    },
    "encode_dataset": {
        "file_path": NEEDED, "model_dir": "models", "out_path": "text_encoded.npz",
        "model_name": "124M", "combine": 50000,
    },
    "copy_checkpoint_to_gdrive": {"run_name": "run1", "copy_folder": False},
    "copy_checkpoint_from_gdrive": {"run_name": "run1", "copy_folder": False},
    "copy_file_to_gdrive": {"file_path": NEEDED},
    "copy_file_from_gdrive": {"file_path": NEEDED},
    "mount_gdrive": {},
    "is_mounted": {},
    "get_tarfile_name": {"checkpoint_folder": NEEDED},
}  # fmt: skip


@pytest.mark.parametrize("name", OLD)
def test_the_old_signature(name):
    parameters = inspect.signature(getattr(gpt2, name)).parameters
    assert {key: value.default for key, value in parameters.items()} == OLD[name]
    assert list(parameters) == list(OLD[name])
    assert name in gpt2.__all__


def test_tensorflow_is_never_imported_and_torch_only_when_needed(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('TensorFlow was imported')")
    code = (
        "import sys, penwright.compat.gpt_2_simple as gpt2; sess = gpt2.start_tf_sess();"
        "gpt2.reset_session(sess); assert 'torch' not in sys.modules;"
        "gpt2.get_available_gpus(); assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(tmp_path)})
