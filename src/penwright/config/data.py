"""Options of reading data, and of the verbs that look at it or prepare it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from penwright.config.fields import Names
from penwright.document import END_OF_TEXT, START_OF_TEXT

FormatName = Literal[
    "auto", "text", "markdown", "docx", "odt", "rtf", "html", "epub", "subtitles", "kindle",
    "csv", "xlsx",
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
    """End of a document in a plain text file: marker (<|endoftext|>), file (end of the file), line
    (each line) or paragraph (blank line)."""
    split_at: str | None = None
    """Regular expression that ends a document. The match is left out; "(?m)^(?=CHAPTER )" keeps
    it."""
    header: bool | None = None
    """The first row of a CSV file has the column names. Default: detected."""
    delimiter: str | None = None
    """Character between the cells of a CSV file, such as ";" or "\\t", or none if each line is one
    cell. Default: detected."""
    quotes: QuoteStyle = "auto"
    """Quotes inside cells of a CSV file: doubled, after a backslash, or none (plain characters)."""
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
class WorkConfig:
    """Options for dividing work among processes; the output is the same, byte for byte."""

    engine: EngineName = "local"
    """local: processes on this machine. ray: the Ray cluster named by RAY_ADDRESS, or started on
    this machine."""
    workers: int | None = None
    """Number of processes; 0 uses this one alone. Default: one per core for large data."""


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
class PrepareConfig:
    """Options of `prepare`."""

    output: str
    """The new store: a folder, one compressed file if the name ends in .zip, or an address such as
    s3://bucket/store."""
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
    """Extractor of keywords. auto: with a spaCy model if one is installed, or else YAKE."""
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
    """The first row of a CSV file has the column names. Default: detected."""
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
