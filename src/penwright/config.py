"""One frozen dataclass a verb: the single place where an option and its default are written.

A field's docstring is its help on the command line; its name is its TOML key. A verb's function,
the command line and the documentation all read them from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from penwright.document import END_OF_TEXT, START_OF_TEXT
from penwright.fields import Names, Numbers, Spelling, Texts
from penwright.fields import build as build
from penwright.fields import coerce as coerce
from penwright.fields import flat_fields as flat_fields
from penwright.fields import flat_values as flat_values
from penwright.fields import given_values as given_values
from penwright.fields import read_toml as read_toml

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["fp32", "bf16", "fp16"]
ScheduleName = Literal["constant", "linear", "cosine", "step", "wsd"]
OptimizerName = Literal["adamw", "adamw8bit", "adafactor", "muon", "sgd"]
LoggerName = Literal["tensorboard", "wandb"]
CompileName = Literal["auto", "on", "off"]
MethodName = Literal["full", "lean", "lora"]
BatchShape = Literal["packed", "windows", "rows"]
FormatName = Literal[
    "auto", "text", "markdown", "docx", "odt", "rtf", "html", "epub", "subtitles", "csv", "xlsx",
    "jsonl", "json", "parquet", "pairs", "story", "coqa", "npz", "keywords",
    "telegram", "discord", "whatsapp", "chatml",
]  # fmt: skip
DocumentRule = Literal["auto", "marker", "file", "line", "paragraph"]
QuoteStyle = Literal["auto", "double", "backslash", "none"]
EngineName = Literal["local", "ray"]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Options for reading files as documents."""

    format: FormatName = "auto"
    """Format of the files. Default: detected."""
    files: Names = ()
    """In folders, read only files that match these patterns, such as "*.py,*.md", of any type.
    Default: all files of known types."""
    encoding: str | None = None
    """Text encoding of the files, such as cp1252. Default: UTF-8."""
    documents: DocumentRule = "auto"
    """Where a document of a plain text file ends: at <|endoftext|>, at the end of the file, at each
    line, or at a blank line."""
    split_at: str | None = None
    """Regular expression that ends a document. The match is left out; "(?m)^(?=CHAPTER )" keeps
    it."""
    header: bool | None = None
    """Whether a CSV file starts with a row of column names. Default: detected."""
    delimiter: str | None = None
    """The character between the cells of a CSV file, such as ";" or "\\t", or none where a line is
    one cell; looked at when not given."""
    quotes: QuoteStyle = "auto"
    """How cells of a CSV file hold quotes: doubled, after a backslash, or none: as plain text."""
    skip_bad_rows: bool = False
    """Leave out CSV rows that do not fit the columns, with a count, instead of stopping at them."""
    text_column: str | None = None
    """Column with the text, if each row is a document."""
    prompt_column: str | None = None
    """Column with the prompt, which is read but not trained on."""
    completion_column: str | None = None
    """Column with the text to train on, after the prompt."""
    template: str | None = None
    """Text that joins the columns of a row, such as "{prompt} <sep> {story}". The turns of a
    conversation have the columns speaker, role and text."""
    learn: Names = ()
    """Columns of the template to train on; "all" trains on prompts, too."""
    speaker: tuple[str, ...] = ()
    """In conversations, train only on what this speaker says. May be given several times. Default:
    the assistant's turns; in exports of messengers, all turns."""
    separator: str | None = None
    """Text between a prompt and its completion; \\n is a new line."""
    max_words: int | None = None
    """Keep only this many words of each story, or the turns of a dialogue that fit."""
    max_tokens: int | None = None
    """Leave out documents, and turns of a dialogue, beyond this many tokens."""
    highlights: Literal["random", "all", "joined"] = "random"
    """Highlights of a .story file: a random one in each epoch, all in each epoch, or joined."""
    urls: str | None = None
    """Read only the .story files whose addresses are in this file, one per line."""
    skip_empty: bool = False
    """Leave out rows without text to train on, with a count, instead of stopping."""
    clean: Names = ()
    """Cleaning steps: detokenize, spaces, news, whitespace, entities, mojibake, tags, newlines,
    control, markers; for books: gutenberg (notes, licence, _marks_), quotes (make straight),
    unwrap (join hard-wrapped lines)."""
    language: str | None = None
    """Keep only documents in this language (two letters, such as en)."""
    blocklist: str | None = None
    """File of words, one per line. Documents that contain one are left out."""
    blocklist_masks: bool = False
    """Replace blocked words with stars instead of leaving documents out."""
    drop_duplicates: bool = False
    """Leave out exact repeats of earlier documents."""
    drop_near: float | None = None
    """Leave out documents that share this part of their word sequences with an earlier one, such as
    0.8."""
    category_column: str | None = None
    """Column with the category of a row. Default: found by its name."""
    drop_category: Names = ()
    """Leave out rows of these categories."""
    where: tuple[str, ...] = ()
    """Keep rows that meet this condition, such as "score>=5" or "lang=en". May be given several
    times."""
    per_category: int | None = None
    """Keep this many documents of each category: the first, or the best by --order-by."""
    order_by: str | None = None
    """Column with the number that ranks the documents of a category."""


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
    repetition_penalty: float = 1.0
    """Above 1 makes tokens that are already in the text less likely."""
    no_repeat_ngram_size: int = 0
    """Never write the same sequence of this many tokens twice. 0: allowed."""
    min_new_tokens: int = 0
    """Do not end the text before this many tokens."""
    num_beams: int = 1
    """Width of a beam search for the most likely text. 1: no beam search, tokens are drawn."""
    length_penalty: float = 1.0
    """For beam search: above 0 prefers longer texts, below 0 shorter ones."""
    greedy: bool = False
    """Always take the most likely token."""
    stop: Texts = ()
    """End the text before this string; \\n is a new line. May be given several times."""
    seed: int = 0
    """The same seed writes the same text."""


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """Device and precision."""

    device: Device = "auto"
    """Device to compute on. Default: the fastest one here."""
    precision: Literal["auto", Precision] = "auto"
    """Precision of matrix products. Default: the best that this device does well."""


@dataclass(frozen=True, kw_only=True)
class WorkConfig:
    """Options for dividing work among processes; the output is the same, byte for byte."""

    engine: EngineName = "local"
    """local: processes on this machine. ray: the Ray cluster named by RAY_ADDRESS, or started on
    this machine."""
    workers: int | None = None
    """Number of processes; 0 uses this one alone. Default: one per core for large data."""


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The learning rate over the run."""

    learning_rate: float | None = None
    """Peak learning rate."""
    schedule: Literal["auto", ScheduleName] = "auto"
    """Learning rate over the run: constant, or falling as linear, cosine, step or wsd (constant,
    then linearly to 0). auto is cosine."""
    warmup: float = 0.05
    """Steps over which the rate rises: a share of all steps (below 1), or a number."""
    decay_factor: float = 0.1
    """step: multiply the rate by this; cosine and linear: end at this share of the rate."""
    decay_share: float = 0.4
    """For --schedule wsd: share of the steps in which the rate falls."""
    decay_epochs: Numbers = ()
    """For --schedule step: epochs after which the rate is multiplied."""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The optimizer and its settings."""

    optimizer: OptimizerName = "adamw"
    """adamw8bit and adafactor take less memory than adamw; sgd the least, but learns slowly; muon
    orthogonalises each matrix's update, for training from nothing."""
    weight_decay: float = 0.01
    """Weight decay of matrices; biases and layer norms have none."""
    beta1: float = 0.9
    """AdamW's decay of the mean gradient."""
    beta2: float = 0.999
    """AdamW's decay of the mean squared gradient."""
    eps: float = 1e-8
    """AdamW's epsilon."""
    clip: float = 1.0
    """Clip the norm of the gradient to this. 0: no clipping."""


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Settings of the method lora."""

    quantize: bool = False
    """Keep the frozen weights in int8, one byte each."""
    lora_rank: int = 8
    """Rank of the LoRA matrices."""
    lora_alpha: float = 16.0
    """LoRA's output is scaled by this over the rank."""
    lora_dropout: float = 0.0
    """Dropout before the LoRA matrices."""
    lora_targets: Names = ("c_attn", "c_proj", "c_fc")
    """Matrices that get LoRA: c_attn, c_proj, c_fc; attn.c_proj and mlp.c_proj name one of two."""


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Options of `finetune`; `None` and "auto" are chosen by the size of the model and data."""

    model: str | None = None
    """The model to start from: a size (124M), a Hub name, a folder, a run, or base."""
    name: str | None = None
    """The run's name, a folder under runs/."""
    output_dir: Path | None = None
    """The run's folder, if not under runs/."""
    resume: bool = False
    """Continue the run exactly where it stopped."""
    checkpoint: str | None = None
    """With --resume: continue from this checkpoint (step-000500) instead of the latest."""
    overwrite: bool = False
    """Replace an existing run of the same name."""
    data: DataConfig = field(default_factory=DataConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)

    epochs: float | None = None
    """Passes through the data. Default: chosen by the amount of data."""
    steps: int | None = None
    """Number of optimizer steps, instead of epochs."""
    steps_per_epoch: int | None = None
    """Steps that count as one epoch. Default: one pass through the data."""
    batch_size: int | None = None
    """Sequences in one optimizer step."""
    micro_batch: int | None = None
    """Sequences computed at once. Fewer take less memory and give the same gradient."""
    max_length: int | None = None
    """Tokens in a sequence. Default: the model's context, or less if the data is shorter."""
    shape: Literal["auto", BatchShape] = "auto"
    """packed: documents one after another; windows: random crops; rows: one document per row."""
    held_out: float | None = None
    """Share of the documents to hold out and measure on. 0: train on everything."""
    held_out_data: tuple[str, ...] = ()
    """Files to measure on, instead of a share of the documents. May be given several times."""
    fix: bool = False
    """Train on held-out documents whose text is also in the training part, instead of measuring on
    them."""
    drop_repeats: int | None = None
    """Leave out passages of at least this many words that the data holds already, keeping the
    first of each."""
    mix: Numbers = ()
    """Share of each data set in the training, such as 0.7,0.3; smaller sets are repeated. 1: equal
    shares."""
    mix_end: Numbers = ()
    """Shares at the last step, such as 0.2,0.8; they change linearly from those of --mix."""
    add_token: Texts = ()
    """Text that becomes one token, such as "<sep>". May be given several times."""

    rates: ScheduleConfig = field(default_factory=ScheduleConfig)
    optim: OptimizerConfig = field(default_factory=OptimizerConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)

    method: Literal["auto", MethodName] = "auto"
    """full: all weights in float32; lean: all weights in bfloat16, with little memory; lora: small
    matrices beside a frozen model. auto: the first of these that fits in memory."""
    memory: str | None = None
    """Largest amount of memory to use, such as 8GB. Default: what is free."""
    recompute: bool = False
    """Gradient checkpointing: recompute activations in the backward pass, to save memory."""
    compile: CompileName = "auto"
    """torch.compile one block, which takes half a minute on a GPU. auto: where the run is long
    enough to gain."""
    train_only: Literal["all", "layers"] = "all"
    """layers: train the blocks only; embeddings and the last norm stay frozen."""
    freeze_layers: int = 0
    """Freeze the first N blocks."""
    dropout: float = 0.0
    """Dropout of embeddings, attention and residuals."""
    seed: int = 42
    """Seed of the data order and of everything random."""

    evaluate_every: int | None = None
    """Steps between measurements on held-out text. Default: often enough to cost a tenth of the
    time."""
    patience: int = 5
    """Stop after this many measurements without improvement. 0: never stop early."""
    save_every: str | int | None = None
    """Steps (500) or time (10min) between checkpoints. Default: 10 minutes."""
    keep: int = 2
    """Number of checkpoints to keep, besides the best."""
    sample_every: int | None = None
    """Steps between samples. 0: none."""
    sample_prompts: Texts = ()
    """Prompts for the samples; \\n is a new line. Default: beginnings of held-out documents."""
    sample_tokens: int = 80
    """Length of a sample in tokens."""
    log: Annotated[tuple[LoggerName, ...], Spelling.LIST] = ()
    """Also log to tensorboard (a folder in the run's folder) or wandb (Weights & Biases)."""


MAY_CHANGE = (
    "steps", "epochs", "micro_batch", "device", "compile", "save_every", "keep", "patience", "log",
    "sample_every", "sample_prompts", "sample_tokens",
)  # fmt: skip
"""Options that may have another value when a run is resumed."""
ABOUT_THE_CALL = ("model", "name", "output_dir", "resume", "checkpoint", "overwrite")
"""Options that choose a run or its place, and are not compared when it is resumed."""


@dataclass(frozen=True, kw_only=True)
class WriteConfig:
    """Options of `write`."""

    n: int = 1
    """Number of texts for each prompt."""
    raw: bool = False
    """Pass the prompt to the model unchanged, without the format of its training data."""
    keywords: str | None = None
    """Keywords to write about, such as "cats, moon", for a model trained on keywords."""
    category: str | None = None
    """Category to write in, for a model trained on categories."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)


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
    """A file with one prompt per line, or - for standard input."""
    output: Path | None = None
    """Write the texts to this new file; JSON if it ends in .jsonl. {seed} in the name becomes the
    seed."""


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
    keywords, diversity."""
    metric_documents: int = 100
    """Largest number of documents to write for."""
    n: int = 1
    """Number of texts for each prompt."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)


@dataclass(frozen=True, kw_only=True)
class CopiedConfig:
    """Options of `copied`."""

    min_tokens: int = 20
    """Shortest copied span to report, in tokens that hold a letter or a digit."""
    n: int = 20
    """Texts to write and look at, when no samples are given."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)


@dataclass(frozen=True, kw_only=True)
class InspectConfig:
    """Options of `inspect`."""

    html: Path | None = None
    """Write the report as a web page to this file, too."""
    model: str | None = None
    """The model whose tokenizer and context to use."""
    data: DataConfig = field(default_factory=DataConfig)
    max_length: int | None = None
    """Tokens in a window."""
    windows: int = 3
    """Number of training windows to show."""
    repeats: int = 50
    """Shortest repeated passage to report, in tokens that hold a letter or a digit. 0: do not look
    for any."""
    near: float | None = None
    """Similarity above which documents are near duplicates. 0: do not look for any. Default:
    0.8."""
    fix: bool = False
    """Split the data as `finetune --fix` does."""


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """Options of `plan`."""

    memory: str | None = None
    """Largest amount of memory to use, such as 8GB. Default: what is free."""
    batch_size: int | None = None
    """Sequences in one optimizer step."""
    max_length: int | None = None
    """Tokens in a sequence."""
    data: DataConfig = field(default_factory=DataConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Options of `prepare`."""

    output: Path
    """The new store: a folder, or one compressed file if the name ends in .zip."""
    model: str | None = None
    """The model whose tokenizer to use."""
    data: DataConfig = field(default_factory=DataConfig)
    work: WorkConfig = field(default_factory=WorkConfig)


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """Options of `tokenizer train`."""

    output: Path
    """The new tokenizer's folder."""
    vocab_size: int = 8192
    """Size of the vocabulary; smaller if the text is too short."""
    data: DataConfig = field(default_factory=DataConfig)


@dataclass(frozen=True, kw_only=True)
class NewConfig:
    """Options of `new`."""

    output: Path
    """The new model's folder."""
    size: str = "tiny"
    """tiny (7M parameters with a vocabulary of 8,192), small (30M), or GPT-2's 124M, 355M, 774M or
    1558M."""
    tokenizer: Path | None = None
    """Folder of a tokenizer. Default: GPT-2's."""
    context: int | None = None
    """Context length in tokens. Default: 512 for tiny, 1024 for the others."""
    layers: int | None = None
    """Number of layers, instead of the size's."""
    width: int | None = None
    """Width of the hidden states, instead of the size's."""
    heads: int | None = None
    """Attention heads in a layer, instead of the size's. Must divide the width."""
    seed: int = 0
    """Seed of the random weights."""


@dataclass(frozen=True, kw_only=True)
class KeywordsConfig:
    """Options of `penwright.encode_keywords`, and of `keywords encode` besides its file."""

    title_field: str | None = None
    """Column with the titles. Default: the column with text."""
    body_field: str | None = None
    """Column with the texts below the titles."""
    category_field: str | None = None
    """Column with the categories."""
    keywords_field: str | None = None
    """Column with your own keywords, instead of extracting them."""
    keyword_separator: str = ","
    """Text between your own keywords."""
    keywords_from: str | None = None
    """Column to extract keywords from. Default: the titles, or else the bodies."""
    extractor: Literal["auto", "spacy", "yake", "builtin"] = "auto"
    """How to extract keywords. auto: with a spaCy model if one is installed, or else YAKE."""
    spacy_model: str | None = None
    """The spaCy model, by name or folder."""
    keyword_dropout: float = 0.0
    """Probability of leaving out each keyword, drawn anew for each line."""
    repeat: int = 3
    """Lines per row, each with other keywords."""
    max_keywords: int = 3
    """Largest number of keywords in a line."""
    keyword_length_max: int = 20
    """Keywords of several words are shorter than this many characters."""
    held_out: float = 0.0
    """Share of the rows to write to a second file, to measure on."""
    start_token: str = START_OF_TEXT
    """Marks the beginning of a text."""
    end_token: str = END_OF_TEXT
    """Marks the end of a text."""
    format: FormatName = "auto"
    """Format of the files. Default: detected."""
    header: bool | None = None
    """Whether a CSV file starts with a row of column names. Default: detected."""
    encoding: str | None = None
    """Text encoding of the files, such as cp1252. Default: UTF-8."""
    seed: int = 0
    """Seed of the choice of keywords and the order of lines."""
    work: WorkConfig = field(default_factory=WorkConfig)


@dataclass(frozen=True, kw_only=True)
class KeywordsFileConfig(KeywordsConfig):
    """Options of `keywords encode`."""

    output: Path
    """The file to write. An existing file is replaced."""


@dataclass(frozen=True, kw_only=True)
class DecodeConfig:
    """Options of `keywords decode`."""

    section: Names = ()
    """Sections to print: category, keywords, title, body. Default: title; with JSON, all."""
    output: Path | None = None
    """Write to this new file; JSON if it ends in .jsonl."""
    start_token: str = START_OF_TEXT
    """Marks the beginning of a text."""
    end_token: str = END_OF_TEXT
    """Marks the end of a text."""


@dataclass(frozen=True, kw_only=True)
class CrossTrainConfig(FinetuneConfig):
    """Options of `cross-train`."""

    falling: float = 0.5
    """Multiply the learning rate by this from each data set to the next."""


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """Options of `recipe` beside those of `finetune`."""

    data: tuple[str, ...] = ()
    """Your data instead of the bundled sample. May be given several times."""
    prompt: Texts = ()
    """Text to continue at the end, instead of the recipe's own prompts. May be given several
    times."""


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
