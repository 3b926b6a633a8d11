"""What people write with: ten titles from the run of another day."""

import gpt_2_simple as gpt2

sess = gpt2.start_tf_sess()
gpt2.load_gpt2(sess)

texts = gpt2.generate(
    sess,
    nsamples=10,
    batch_size=10,
    length=60,
    temperature=1.0,
    prefix="<|startoftext|>",
    truncate="<|endoftext|>",
    include_prefix=False,
    return_as_list=True,
)
for text in texts:
    print(repr(text))

gpt2.generate(
    sess,
    nsamples=10,
    batch_size=10,
    length=60,
    prefix="<|startoftext|>",
    truncate="<|endoftext|>",
    include_prefix=False,
)
