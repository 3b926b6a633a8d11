"""Write the small TensorFlow checkpoints beside this file, with TensorFlow's own Saver.

    pip install tensorflow-cpu
    python tests/weights/goldens/make_tensorflow.py

`run1` looks like a gpt-2-simple run, `sharded` is the same in two shards. Every number comes from
`numbers`, so that the tests know what must be read.
"""

from __future__ import annotations

import contextlib
import json
import sys
import zlib
from pathlib import Path

import numpy as np

HPARAMS = {"n_vocab": 300, "n_ctx": 16, "n_embd": 8, "n_head": 2, "n_layer": 2}


def shapes() -> dict[str, tuple[int, ...]]:
    """GPT-2's variables as OpenAI's model.py makes them."""
    width = HPARAMS["n_embd"]
    found = {
        "model/wpe": (HPARAMS["n_ctx"], width),
        "model/wte": (HPARAMS["n_vocab"], width),
        "model/ln_f/g": (width,),
        "model/ln_f/b": (width,),
    }
    sizes = {"attn/c_attn": 3, "attn/c_proj": 1, "mlp/c_fc": 4, "mlp/c_proj": 1}
    for layer in range(HPARAMS["n_layer"]):
        for norm in ("ln_1", "ln_2"):
            found[f"model/h{layer}/{norm}/g"] = (width,)
            found[f"model/h{layer}/{norm}/b"] = (width,)
        for part, times in sizes.items():
            rows = 4 * width if part == "mlp/c_proj" else width
            found[f"model/h{layer}/{part}/w"] = (1, rows, times * width)
            found[f"model/h{layer}/{part}/b"] = (times * width,)
    return found


def numbers(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers between -0.5 and 0.5 that are the same on every machine."""
    start = zlib.crc32(name.encode())
    index = np.arange(int(np.prod(shape)), dtype=np.uint64)
    mixed = (index * np.uint64(2654435761) + np.uint64(start)) % np.uint64(1 << 24)
    return (mixed.astype(np.float32) / np.float32(1 << 24) - np.float32(0.5)).reshape(shape)


def save(folder: Path, *, shards: int) -> None:
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
        made = []
        for index, (name, shape) in enumerate(shapes().items()):
            with tf.device(f"/cpu:{index % shards}"):
                made.append(
                    tf.compat.v1.get_variable(
                        name, initializer=numbers(name, shape), use_resource=False
                    )
                )
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(var_list=made, sharded=shards > 1)
        with contextlib.chdir(folder):  # so that `checkpoint` names no path of this machine
            saver.save(session, "./model", global_step=500, write_meta_graph=False)


def main() -> None:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    here = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, shards in (("run1", 1), ("sharded", 2)):
        folder = here / name
        folder.mkdir(parents=True, exist_ok=True)
        save(folder, shards=shards)
        (folder / "hparams.json").write_text(json.dumps(HPARAMS) + "\n")


if __name__ == "__main__":
    main()
