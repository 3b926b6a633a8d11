"""One frozen dataclass a verb: the single place where an option and its default are written.

A field's docstring is its help on the command line; its name is its TOML key. A verb's function,
the command line and the documentation all read them from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from penwright.fields import Names, Numbers, Spelling, Texts
from penwright.fields import build as build
from penwright.fields import coerce as coerce
from penwright.fields import flat_fields as flat_fields
from penwright.fields import flat_values as flat_values
from penwright.fields import given_values as given_values
from penwright.fields import read_toml as read_toml
from penwright.markers import END_OF_TEXT, START_OF_TEXT

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
ScheduleName = Literal["auto", "constant", "linear", "cosine", "step"]
OptimizerName = Literal["adamw", "adamw8bit", "adafactor", "muon", "sgd"]
LoggerName = Literal["tensorboard", "wandb"]
CompileName = Literal["auto", "on", "off"]
MethodName = Literal["auto", "full", "lean", "lora"]
BatchShape = Literal["auto", "packed", "windows", "rows"]
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
    """How files become documents."""

    format: FormatName = "auto"
    """What the files are; looked at when not given."""
    files: Names = ()
    """In folders, read the files of these names, such as "*.py,*.md", whatever their type; known
    types unless given."""
    encoding: str | None = None
    """Text encoding of the files; UTF-8 unless given."""
    documents: DocumentRule = "auto"
    """Where a document of a plain text file ends: at <|endoftext|>, the file's end, a line, or
    a blank line."""
    split_at: str | None = None
    """A regular expression that ends documents, itself left out; "(?m)^(?=CHAPTER )" keeps it."""
    header: bool | None = None
    """Whether a CSV file starts with a row of names; looked at when not given."""
    delimiter: str | None = None
    """The character between the cells of a CSV file, such as ";" or "\\t", or none where a line is
    one cell; looked at when not given."""
    quotes: QuoteStyle = "auto"
    """How cells of a CSV file hold quotes: doubled, after a backslash, or none: as plain text."""
    skip_bad_rows: bool = False
    """Leave out CSV rows that do not fit the columns, with a count, instead of stopping at them."""
    text_column: str | None = None
    """The column that holds the text, where a row is a document."""
    prompt_column: str | None = None
    """The column that holds the prompt, which is read but not learned."""
    completion_column: str | None = None
    """The column that holds what is to be learned from the prompt."""
    template: str | None = None
    """Joins the columns of a row, such as "{prompt} <sep> {story}"; a conversation's turns have
    the columns speaker, role and text."""
    learn: Names = ()
    """Columns of the template that are learned; "all" learns prompts as well."""
    speaker: tuple[str, ...] = ()
    """Of conversations, learn only what this speaker says; may be given several times. The
    assistant's turns unless given, and everything in the exports of messengers."""
    separator: str | None = None
    """What stands between a prompt and its completion."""
    max_words: int | None = None
    """Keep only the first so many words of each story, or the turns of a dialogue that fit."""
    max_tokens: int | None = None
    """Leave out documents, and turns of a dialogue, beyond so many tokens."""
    highlights: Literal["random", "all", "joined"] = "random"
    """Of a .story file's highlights: another one in each pass, all in each pass, or joined."""
    urls: str | None = None
    """Read only the .story files of the addresses in this list, one a line."""
    skip_empty: bool = False
    """Leave out rows that have nothing to learn, with a count, instead of stopping at them."""
    clean: Names = ()
    """Mend the text: detokenize, spaces, news, whitespace, entities, mojibake, tags, newlines,
    control, markers; of books: gutenberg (notes, licence, _marks_), quotes (make straight),
    unwrap (join hard-wrapped lines)."""
    language: str | None = None
    """Leave out documents in another language than this (two letters, such as en)."""
    blocklist: str | None = None
    """A file of words; documents that hold one are left out."""
    blocklist_masks: bool = False
    """Write stars over the words of the blocklist instead of leaving documents out."""
    drop_duplicates: bool = False
    """Leave out documents that repeat an earlier one exactly."""
    drop_near: float | None = None
    """Leave out documents that share this part of their runs of words with an earlier one, 0.8."""
    category_column: str | None = None
    """The column that holds a row's category; looked for by name when not given."""
    drop_category: Names = ()
    """Leave out these categories."""
    where: tuple[str, ...] = ()
    """Keep the rows of which this holds, such as "score>=5" or "lang=en"; may be given several
    times."""
    per_category: int | None = None
    """Keep so many documents of each category: the first, or the best by --order-by."""
    order_by: str | None = None
    """The column with the number by which the best of a category are chosen."""


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How the next token is chosen, and when to stop."""

    max_new_tokens: int = 200
    """Write at most so many tokens."""
    temperature: float = 0.8
    """Above 1 is wilder, below 1 is calmer, 0 always takes the likeliest token."""
    top_k: int = 0
    """Choose among the k likeliest tokens; 0 is all."""
    top_p: float = 0.95
    """Choose among the likeliest tokens that together have this probability; 1 is all."""
    min_p: float = 0.0
    """Leave out tokens less likely than this share of the likeliest one's probability."""
    repetition_penalty: float = 1.0
    """Above 1 makes tokens that stand in the text already less likely."""
    no_repeat_ngram_size: int = 0
    """Never write the same run of so many tokens twice; 0 may."""
    min_new_tokens: int = 0
    """Do not end the text before so many tokens."""
    num_beams: int = 1
    """Search for the likeliest text along so many paths, instead of choosing by chance."""
    length_penalty: float = 1.0
    """With several beams: above 0 prefers longer texts, below 0 shorter ones."""
    greedy: bool = False
    """Always take the likeliest token."""
    stop: Texts = ()
    """Stop before this text; may be given several times."""
    seed: int = 0
    """The same seed writes the same text."""


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """Where and how exactly to compute."""

    device: Device = "auto"
    """Where to compute; the fastest at hand unless given."""
    precision: Precision = "auto"
    """Arithmetic of the matrix products; chosen by what the hardware does well unless given."""


@dataclass(frozen=True, kw_only=True)
class WorkConfig:
    """Which processes do what can be divided; what comes out is the same, byte for byte."""

    engine: EngineName = "local"
    """local: processes of this machine; ray: the Ray cluster that RAY_ADDRESS names, or that was
    started here."""
    workers: int | None = None
    """How many at once: 0 is this process alone; all cores unless given, once there is much."""


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Options of `finetune`; `None` and "auto" are chosen by the size of the model and data."""

    model: str | None = None
    """The model to start from: a size (124M), a Hub name, a folder, a run, or base."""
    name: str | None = None
    """The run's name, a folder under runs/."""
    output_dir: Path | None = None
    """The run's folder, where it should not be under runs/."""
    resume: bool = False
    """Continue the run exactly where it stood."""
    checkpoint: str | None = None
    """Resume from this checkpoint (step-000500) instead of the newest."""
    overwrite: bool = False
    """Replace a run of the same name."""
    data: DataConfig = field(default_factory=DataConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)

    epochs: float | None = None
    """Go through the data so many times."""
    steps: int | None = None
    """Take so many optimizer steps, instead of epochs."""
    steps_per_epoch: int | None = None
    """Steps that count as an epoch; once through the data unless given."""
    batch_size: int | None = None
    """Sequences in one optimizer step."""
    micro_batch: int | None = None
    """Sequences computed at once; smaller takes less memory and gives the same gradient."""
    max_length: int | None = None
    """Tokens in a sequence; the model's context unless the data is shorter."""
    shape: BatchShape = "auto"
    """packed: documents end to end; windows: random crops; rows: one document a row."""
    held_out: float | None = None
    """Share of the documents kept from training to measure with; 0 trains on everything."""
    held_out_data: tuple[str, ...] = ()
    """Files to measure with, instead of a share of the documents; may be given several times."""
    fix: bool = False
    """Move held-out documents whose text is trained on as well into the training part."""
    mix: Numbers = ()
    """The share of each data set in the training, 0.7,0.3; the smaller ones are repeated.
    1 gives all the same."""
    add_token: Texts = ()
    """A text that becomes one token of its own, such as "<sep>"; may be given several times."""

    learning_rate: float | None = None
    """Peak learning rate."""
    schedule: ScheduleName = "auto"
    """How the learning rate falls: auto is cosine, and constant for very short runs."""
    warmup: float = 0.05
    """Share of the steps in which the rate climbs (below 1), or a number of steps."""
    decay_factor: float = 0.1
    """Schedule step: multiply the rate by this; cosine and linear: end at this share of it."""
    decay_epochs: Numbers = ()
    """Schedule step: the epochs after which the rate is multiplied."""
    method: MethodName = "auto"
    """full: every weight in float32; lean: every weight in little memory; lora: small additions
    to a frozen model. auto takes the first that fits the memory."""
    memory: str | None = None
    """Memory to stay within, such as 8GB; what is free unless given."""
    recompute: bool = False
    """Compute each layer a second time instead of keeping what it computed; takes less memory."""
    compile: CompileName = "auto"
    """Translate a layer for this GPU before training, which takes half a minute; auto does where
    the run is long enough to pay for it."""
    quantize: bool = False
    """LoRA only: hold the frozen matrices at one byte a weight."""
    lora_rank: int = 8
    """Rank of LoRA's additions."""
    lora_alpha: float = 16.0
    """LoRA's additions are multiplied by this over the rank."""
    lora_dropout: float = 0.0
    """Dropout before LoRA's additions."""
    lora_targets: Names = ("c_attn", "c_proj", "c_fc")
    """The matrices that LoRA adds to; mlp.c_proj names one of the two."""
    optimizer: OptimizerName = "adamw"
    """adamw; adamw8bit and adafactor take less memory; so does sgd, plain gradient descent, which
    learns more slowly; muon turns the layers' matrices as a whole, for training from nothing."""
    weight_decay: float = 0.01
    """The decay of matrices; nothing else decays."""
    beta1: float = 0.9
    """AdamW's decay of the gradient's mean."""
    beta2: float = 0.999
    """AdamW's decay of the gradient's mean square."""
    eps: float = 1e-8
    """AdamW's epsilon."""
    clip: float = 1.0
    """Scale a step's gradient down to this norm at most; 0 never does."""
    train_only: Literal["all", "layers"] = "all"
    """layers: the embeddings and the last norm stay as they are."""
    freeze_layers: int = 0
    """The first so many layers stay as they are."""
    dropout: float = 0.0
    """Dropout of embeddings, attention and residuals."""
    seed: int = 42
    """Orders the data and seeds everything else."""

    evaluate_every: int | None = None
    """Steps between held-out measurements; chosen to cost at most a tenth of the time."""
    patience: int = 5
    """Stop after so many measurements without a better one; 0 never stops early."""
    save_every: str | int | None = None
    """Steps (500) or time (10min) between checkpoints; every 10 minutes unless given."""
    keep: int = 2
    """Checkpoints kept, besides the best."""
    sample_every: int | None = None
    """Steps between samples; 0 writes none."""
    sample_prompts: Texts = ()
    """What the samples start from; taken from the held-out part unless given."""
    sample_tokens: int = 80
    """Tokens in a sample written while training."""
    log: Annotated[tuple[LoggerName, ...], Spelling.LIST] = ()
    """Tell others too: tensorboard (a folder in the run's), wandb (Weights & Biases)."""


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
    """Tokens that the window moves in documents longer than the context; half unless given."""
    average: Literal["token", "batch"] = "token"
    """token: perplexity over all tokens; batch: the mean of batch losses that notebooks quote."""
    batch_size: int = 4
    """Documents in a batch."""
    max_length: int | None = None
    """Average batch: cut documents to so many tokens."""
    held_out_of: str | None = None
    """Measure on the documents that this run held out, instead of files."""
    metrics: Names = ()
    """Write from the prompts of the data, and compare: rouge, bleu, chrf, answers, verbatim,
    keywords, diversity."""
    metric_documents: int = 100
    """Write for so many documents at most."""
    n: int = 1
    """Texts to write for each prompt."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)


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
    """Windows to show."""
    near: float | None = None
    """Documents alike to this share are near duplicates: 0.8 unless given, 0 looks for none."""
    fix: bool = False
    """Look as if held-out documents whose text is trained on were moved, as finetune --fix does."""


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """Options of `plan`."""

    memory: str | None = None
    """Memory to stay within, such as 8GB; what is free unless given."""
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
    """Tokens to find; fewer where the text is too short for so many."""
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
    """A folder with a tokenizer; GPT-2's own unless given."""
    context: int | None = None
    """Context length in tokens. Default: 512 for tiny, 1024 for the others."""
    seed: int = 0
    """Draws the weights."""


@dataclass(frozen=True, kw_only=True)
class KeywordsConfig:
    """Options of `penwright.encode_keywords`, and of `keywords encode` besides its file."""

    title_field: str | None = None
    """The column with the titles; the one that holds text when nothing else is given."""
    body_field: str | None = None
    """The column with the texts below the titles."""
    category_field: str | None = None
    """The column with the categories."""
    keywords_field: str | None = None
    """The column with keywords of your own, instead of finding them."""
    keyword_separator: str = ","
    """What stands between keywords of your own."""
    keywords_from: str | None = None
    """The column in which keywords are found: the title's, or else the body's."""
    extractor: Literal["auto", "spacy", "yake", "builtin"] = "auto"
    """How keywords are found: by a spaCy model where one is installed, else by YAKE."""
    spacy_model: str | None = None
    """The spaCy model, by name or folder."""
    keyword_dropout: float = 0.0
    """Leave each keyword out with this chance, anew for each line."""
    repeat: int = 3
    """Lines for each row, each with keywords of its own."""
    max_keywords: int = 3
    """A line has 0 to so many keywords."""
    keyword_length_max: int = 20
    """Keywords of several words are shorter than so many characters."""
    held_out: float = 0.0
    """Share of the rows whose lines go to a second file, to measure with."""
    start_token: str = START_OF_TEXT
    """What a text begins with."""
    end_token: str = END_OF_TEXT
    """What a text ends with."""
    format: FormatName = "auto"
    """What the files are; looked at when not given."""
    header: bool | None = None
    """Whether a CSV file starts with a row of names; looked at when not given."""
    encoding: str | None = None
    """Text encoding of the files; UTF-8 unless given."""
    seed: int = 0
    """Chooses keywords and the order of the lines."""
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
