"""Titles for keywords: encode a CSV, train on it, write to keywords, decode what came."""

import gpt_2_simple as gpt2
from keyword_decode import decode_texts
from keyword_encode import encode_keywords

encode_keywords(
    csv_path="reddit.csv",
    category_field="subreddit",
    title_field="title",
    keyword_gen="title",
    out_path="encoded.txt",
)

sess = gpt2.start_tf_sess()
gpt2.finetune(sess, "encoded.txt", run_name="keywords", steps=10, print_every=10, sample_every=99)

texts = gpt2.generate(
    sess,
    run_name="keywords",
    length=90,
    prefix="<|startoftext|>~`aww~^goose tea~@",
    nsamples=5,
    batch_size=5,
    return_as_list=True,
)
print(decode_texts([text + "<|endoftext|>" for text in texts], sections=["category", "title"]))
