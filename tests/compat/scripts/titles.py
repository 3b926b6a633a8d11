"""What people train titles with: print now and then, write now and then, save at the end."""

import os

import gpt_2_simple as gpt2

model_name = "124M"
if not os.path.isdir(os.path.join("models", model_name)):  # noqa: PTH112, PTH118 - an old script
    gpt2.download_gpt2(model_name=model_name)

sess = gpt2.start_tf_sess()
gpt2.finetune(
    sess,
    "titles.csv",
    model_name=model_name,
    steps=20,
    print_every=10,
    sample_every=10,
    sample_length=24,
)
