"""Options of writing with a model, and of measuring and exporting it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from penwright.config.data import DataConfig
from penwright.config.fields import Names, Texts
from penwright.config.training import ComputeConfig, LoadConfig


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """Options for choosing each token, and for stopping."""

    max_new_tokens: int = 200
    """Largest number of tokens to write. A token is about three quarters of a word."""
    temperature: float = 0.8
    """Below 1 is calmer, above 1 wilder; 0 always takes the most likely token."""
    top_k: int = 0
    """Choose among the k most likely tokens. 0: all."""
    top_p: float = 0.95
    """Choose among the most likely tokens that together have this probability. 1: all."""
    min_p: float = 0.0
    """Leave out tokens less likely than this share of the most likely one. 0: none."""
    typical_p: float = 1.0
    """Choose among the tokens whose surprise is nearest to the one that the model expects, and that
    together have this probability. 1: all."""
    repetition_penalty: float = 1.0
    """Above 1 makes tokens that are already in the text, or the prompt, less likely."""
    frequency_penalty: float = 0.0
    """Lower a token's logit by this much for each time that it was written. 0: not at all."""
    presence_penalty: float = 0.0
    """Lower the logit of each token that was written by this much. 0: not at all."""
    logit_bias: Texts = ()
    """Add to the logit of a text, TEXT=BIAS, or of a token, id:ID=BIAS. A space before a word is
    part of it. May be given several times."""
    no_repeat_ngram_size: int = 0
    """Never write the same sequence of this many tokens twice. 0: allowed."""
    ban: Texts = ()
    """Never write this word or phrase, in upper or lower case, however it is cut into tokens: a
    token that would complete it is ruled out. May be given several times."""
    require: Texts = ()
    """Write this word or phrase. Until it is there its tokens become likelier with each token, and
    the text does not end by itself. A text without it is written again, at most ten times. May be
    given several times."""
    max_copy: int = 0
    """Never continue a passage of the training text beyond this many tokens, counted as `copied`
    does; for a run whose data is at hand. 0: no limit."""
    heal: bool = True
    """Where a prompt ends in a space or inside a word, write that end again, so that it becomes
    whole tokens; --no-heal leaves it."""
    min_new_tokens: int = 0
    """Do not end the text before this many tokens."""
    num_beams: int = 1
    """Width of a beam search for the most likely text. 1: no beam search, tokens are drawn."""
    length_penalty: float = 1.0
    """For beam search: above 0 prefers longer texts, below 0 shorter ones."""
    greedy: bool = False
    """Always take the most likely token."""
    best_of: int = 1
    """Write this many texts for each one, and keep the likeliest by its mean log-probability."""
    finish_sentence: bool = False
    """Go on to the end of the sentence, at most 64 tokens beyond --max-new-tokens."""
    on_loop: Literal["allow", "stop", "retry"] = "allow"
    """When the text repeats itself, four times over 64 tokens or more: end it, or write it again,
    at most ten times."""
    stop: Texts = ()
    """End the text before this string; \\n is a new line. May be given several times."""
    pin: Texts = ()
    """Text that stays in the model's context, however long the text becomes; it is not printed.
    May be given several times."""
    seed: int = 0
    """The same seed writes the same text."""


@dataclass(frozen=True, kw_only=True)
class WriteConfig:
    """Options of writing, whatever the texts are for."""

    n: int = 1
    """Number of texts for each prompt."""
    raw: bool = False
    """Pass the prompt to the model unchanged, without the format of its training data."""
    keywords: str | None = None
    """Keywords to write about, such as "cats, moon", for a model trained on keywords."""
    category: str | None = None
    """Category to write in, for a model trained on categories."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    compute: LoadConfig = field(default_factory=LoadConfig)


@dataclass(frozen=True, kw_only=True)
class InteractiveConfig(WriteConfig):
    """Options of `write`."""

    document: str = "untitled"
    """Name of the text; a text of this name is continued."""
    documents: Path = Path("documents")
    """Folder of the texts, each with all its versions; `studio` shows the same."""


@dataclass(frozen=True, kw_only=True)
class GenerateConfig(WriteConfig):
    """Options of `penwright.generate`, and of `generate` besides its files."""

    prompt: Texts = ()
    """Text to continue; \\n is a new line. May be given several times."""
    batch_size: int | None = None
    """Texts to write at once. Does not change the texts."""
    strip: bool = False
    """Remove white space from the ends of each text."""
    retry_empty: int = 0
    """Write an empty text again, at most this many times."""


@dataclass(frozen=True, kw_only=True)
class GenerateFilesConfig(GenerateConfig):
    """Options of `generate`."""

    prompts: str | None = None
    """A file of prompts: lines of text, CSV or JSON Lines; or - for standard input."""
    prompt_column: str | None = None
    """Column with the prompts. Default: found by its name, such as prompt."""
    devices: int = 1
    """Number of GPUs, or of processes on a CPU, that share the prompts."""
    drop_prompt: bool = False
    """Leave the prompt out of the texts. JSON has both, one beside the other."""
    output: Path | None = None
    """Write the texts to this new file. One that ends in .jsonl gets a JSON object for each text,
    and an interrupted one is continued. {seed} in the name becomes the seed."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Options of `evaluate`."""

    data: DataConfig = field(default_factory=DataConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    stride: int | None = None
    """Step of the sliding window in tokens, for documents longer than the context. Default: half
    the context."""
    average: Literal["token", "batch"] = "token"
    """token: perplexity over all tokens; batch: mean of batch losses, as notebooks report it."""
    batch_size: int = 4
    """Documents in a batch."""
    max_length: int | None = None
    """For --average batch: cut documents to this many tokens."""
    held_out_of: str | None = None
    """Measure on the documents that this run held out, instead of files."""
    metrics: Names = ()
    """Write from the prompts of the data and compare: rouge, bleu, chrf, answers, verbatim,
    keywords; or look at the writing itself: quality, diversity."""
    metric_documents: int = 100
    """Largest number of documents to write for."""
    n: int = 1
    """Number of texts for each prompt."""
    untrained: bool = True
    """Measure the metrics of the model that a run began with, too."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """Options of `score`."""

    output: Path | None = None
    """Write the scores to this new file, a JSON object for each document."""
    html: Path | None = None
    """Write a page with the coloured text to this file."""
    best: int = 5
    """Number of likeliest tokens to list at each place."""
    stride: int | None = None
    """Step of the sliding window in tokens, for documents longer than the context. Default: half
    the context."""
    data: DataConfig = field(default_factory=DataConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Options of `compare`."""

    on: Names = ()
    """Compare on these files. Default: what the runs held out."""
    held_out_of: str | None = None
    """Compare on what this run held out."""
    prompts: int = 20
    """Number of prompts that every model writes from. 0: no texts."""
    output: Path | None = None
    """Folder for the page, the texts and the votes. Default: comparisons/A--B."""
    data: DataConfig = field(default_factory=DataConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)


@dataclass(frozen=True, kw_only=True)
class CopiedConfig:
    """Options of `copied`."""

    min_tokens: int = 20
    """Shortest copied span to report, in tokens that hold a letter or a digit."""
    n: int = 20
    """Texts to write and look at, when no samples are given."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    compute: LoadConfig = field(default_factory=LoadConfig)


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Options of `export`."""

    to: Literal["huggingface", "gguf", "ctranslate2", "adapter"]
    """The format to write."""
    output: Path
    """The new folder; for gguf it may be the file."""
    dtype: str | None = None
    """Type of the weights: f32, f16, bf16, int8, q8_0 or q4_0, as far as the format has it."""
    shard_size: str | None = None
    """Largest size of one file in a huggingface folder, such as 2GB."""
    check: bool = False
    """Run prompts through the written model and print the largest difference from the original."""


@dataclass(frozen=True, kw_only=True)
class MergeConfig:
    """Options of `merge`."""

    output: Path
    """The new model's folder."""
