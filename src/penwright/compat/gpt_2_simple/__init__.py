"""Offer gpt-2-simple's functions over Penwright: change the import line, keep the script.

    import penwright.compat.gpt_2_simple as gpt2

    sess = gpt2.start_tf_sess()
    gpt2.finetune(sess, "titles.csv", steps=300)
    gpt2.generate(sess, prefix="<|startoftext|>", truncate="<|endoftext|>", include_prefix=False)

Parameters and defaults are the same. Runs are Penwright runs, in `checkpoint/run1`; TensorFlow's
checkpoints there are opened without importing TensorFlow. docs/migrating.md lists the differences:
bugs that are corrected here.
"""

from __future__ import annotations

from collections.abc import Sequence

from penwright.compat.gpt_2_simple.data import encode_csv, encode_dataset
from penwright.compat.gpt_2_simple.folders import (
    copy_checkpoint_from_gdrive,
    copy_checkpoint_to_gdrive,
    copy_file_from_gdrive,
    copy_file_to_gdrive,
    download_gpt2,
    get_tarfile_name,
    is_gpt2_downloaded,
    is_mounted,
    mount_gdrive,
)
from penwright.compat.gpt_2_simple.training import finetune
from penwright.compat.gpt_2_simple.writing import (
    Session,
    generate,
    generate_to_file,
    get_available_gpus,
    load_gpt2,
    reset_session,
    start_tf_sess,
)

__all__ = [
    "Session",
    "cmd",
    "copy_checkpoint_from_gdrive",
    "copy_checkpoint_to_gdrive",
    "copy_file_from_gdrive",
    "copy_file_to_gdrive",
    "download_gpt2",
    "encode_csv",
    "encode_dataset",
    "finetune",
    "generate",
    "generate_to_file",
    "get_available_gpus",
    "get_tarfile_name",
    "is_gpt2_downloaded",
    "is_mounted",
    "load_gpt2",
    "mount_gdrive",
    "reset_session",
    "start_tf_sess",
]


def cmd(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 for a failure, 2 for usage."""
    from penwright.compat.gpt_2_simple.__main__ import (
        main,  # on call, since `python -m` runs it as another module
    )

    main(argv)
