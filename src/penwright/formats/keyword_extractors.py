"""Extract keywords from texts: with a spaCy model if one is installed, else YAKE, else RAKE.

spaCy       nouns and proper nouns as they are, verbs, adjectives and adverbs in their dictionary
            form, names, and short groups of words around a noun
YAKE        the words with the best scores of its statistics (Campos et al. 2020)
built in    words and pairs of words between stop words and punctuation (RAKE; Rose et al. 2010)

Each keyword is one word, its parts joined by dashes. Pronouns and stop words are no keywords.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from penwright.errors import DataError, MissingExtraError
from penwright.sections import slug

ExtractorName = Literal["auto", "spacy", "yake", "builtin"]
Extract = Callable[[Sequence[str]], list[list[str]]]
"""A function from texts to their keywords, whose order depends on the text alone."""

PREFERRED = ("en_core_web_sm", "en_core_web_md", "en_core_web_lg", "en_core_web_trf")
_MOST = 12
_QUOTES = str.maketrans("‘’“”", "''\"\"")
_AS_THEY_ARE = ("NOUN", "PROPN")
_AS_LEMMAS = ("VERB", "ADJ", "ADV")
_BREAK = re.compile(r"[^\w\s'’-]+|\n")
_WORD = re.compile(r"\w[\w'’-]*\w|\w")
_STOP_WORDS = frozenset(
    """a about above across after again against all almost alone along already also although always
    am among an and another any anybody anyone anything anywhere are aren't around as at away back
    be became because become been before behind being below between both but by can can't cannot
    could couldn't did didn't do does doesn't doing don't done down during each either else enough
    even ever every everybody everyone everything everywhere few first for from further get gets
    getting give go goes going gone got had hadn't has hasn't have haven't having he he'd he'll he's
    her here here's hers herself him himself his how how's however i i'd i'll i'm i've if in into
    is isn't it it'll it's its itself just last least less let let's like made make makes making
    many may maybe me might more most much must my myself need never new next no nobody none nor
    not nothing now of off often on once one only onto or other others our ours ourselves out over
    own people per perhaps put quite rather really said same say says see seen shall she she'd
    she'll she's should shouldn't since so some somebody someone something somewhere still such
    take than that that's the their theirs them themselves then there there's these they they'd
    they'll they're they've thing things this those though through thus to today together too
    toward two under until up upon us use used using very want wants was wasn't way we we'd we'll
    we're we've well went were weren't what what's when when's where where's whether which while
    who who's whole whom whose why will with within without won't would wouldn't yes yet you you'd
    you'll you're you've your yours yourself yourselves""".split()  # noqa: SIM905
)


class Extractor(NamedTuple):
    """A method to extract keywords: its name, its model, and a sentence about it."""

    name: str
    model: str | None
    says: str


def choose_extractor(name: ExtractorName = "auto", model: str | None = None) -> Extractor:
    """Return the best extractor that is installed, or the one asked for.

    `model` is a spaCy model, by name or folder. Raises MissingExtraError and DataError when what
    was asked for is not there.
    """
    models = find_models()
    if model is not None or name == "spacy":
        if importlib.util.find_spec("spacy") is None:
            raise MissingExtraError("Keywords by spaCy", "keywords")
        if model is None and not models:
            raise DataError(
                "No spaCy model is installed.",
                fix="Install one with: python -m spacy download en_core_web_sm",
            )
        chosen = model or models[0]
        return Extractor("spacy", chosen, f"Keywords are found by spaCy's model {chosen}.")
    if name == "auto" and models:
        return Extractor("spacy", models[0], f"Keywords are found by spaCy's model {models[0]}.")
    has_yake = importlib.util.find_spec("yake") is not None
    if name == "yake" and not has_yake:
        raise MissingExtraError("Keywords by YAKE", "keywords")
    if name == "yake" or (name == "auto" and has_yake):
        why = "" if name == "yake" else "; a spaCy model would tell nouns from verbs"
        return Extractor("yake", None, f"Keywords are found by YAKE{why}.")
    why = "" if name == "builtin" else "; pip install 'penwright[keywords]' brings better ways"
    return Extractor("builtin", None, f"Keywords are the words between stop words{why}.")


def find_models() -> list[str]:
    """Return the installed spaCy models, English ones first, without loading spaCy."""
    if importlib.util.find_spec("spacy") is None:
        return []
    names = {entry.name for entry in importlib.metadata.entry_points(group="spacy_models")}
    order = {name: number for number, name in enumerate(PREFERRED)}
    return sorted(names, key=lambda n: (order.get(n, 9), not n.startswith("en"), n))


def load_extractor(extractor: Extractor, longest: int) -> Extract:
    """Load an extractor's function; keywords of several words are shorter than `longest`."""
    if extractor.name == "spacy":
        return _load_spacy(extractor.model or "", longest)
    if extractor.name == "yake":
        return _load_yake(longest)
    return lambda texts: [tidy(find_phrases(text, longest)) for text in texts]


def tidy(keywords: Iterable[str]) -> list[str]:
    """Return keywords as single words, each once whatever its case, without stop words."""
    found: dict[str, str] = {}
    for keyword in keywords:
        word = slug(keyword)
        key = word.lower()
        if len(word) > 1 and key.replace("’", "'") not in _STOP_WORDS and key not in found:
            found[key] = word
    return list(found.values())


def _load_spacy(model: str, longest: int) -> Extract:
    import spacy

    try:
        nlp = spacy.load(model)
    except (OSError, ImportError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise DataError(
            f"spaCy's model '{model}' cannot be loaded: {reason}",
            fix=f"Install it with: python -m spacy download {model}",
        ) from None
    return lambda texts: [
        tidy(keywords_of(doc, longest)) for doc in nlp.pipe(t.translate(_QUOTES) for t in texts)
    ]


def keywords_of(doc: Any, longest: int) -> Iterator[str]:
    """Return the keywords of a spaCy document, as far as its pipeline finds them."""
    for token in doc:
        if token.is_stop or not any(letter.isalnum() for letter in token.text):
            continue
        if token.pos_ in _AS_THEY_ARE:
            yield token.text
        elif token.pos_ in _AS_LEMMAS:
            yield token.lemma_ or token.text.lower()
    yield from (name.text for name in doc.ents)
    if doc.has_annotation("DEP"):
        for chunk in doc.noun_chunks:
            alone = all(token.is_stop or token.pos_ == "PRON" for token in chunk)
            if len(chunk.text) < longest and not alone:
                yield chunk.text


def _load_yake(longest: int) -> Extract:
    import yake

    finder = yake.KeywordExtractor(lan="en", n=2, top=_MOST)

    def extract(texts: Sequence[str]) -> list[list[str]]:
        found = []
        for text in texts:
            pairs = finder.extract_keywords(text.translate(_QUOTES))
            found.append(tidy(word for word, _ in pairs if " " not in word or len(word) < longest))
        return found

    return extract


def find_phrases(text: str, longest: int) -> list[str]:
    """Return the best words and word pairs of a text by their RAKE score (Rose et al. 2010)."""
    phrases: list[list[str]] = []
    for part in _BREAK.split(text.translate(_QUOTES)):
        phrase: list[str] = []
        for word in _WORD.findall(part):
            if word.lower() in _STOP_WORDS or len(word) < 3:
                phrases.append(phrase)
                phrase = []
            else:
                phrase.append(word)
        phrases.append(phrase)
    counts: Counter[str] = Counter()
    degrees: Counter[str] = Counter()
    for phrase in phrases:
        for word in phrase:
            counts[word.lower()] += 1
            degrees[word.lower()] += len(phrase)
    scored: dict[str, float] = {}
    for phrase in phrases:
        for word in phrase:
            scored[word] = degrees[word.lower()] / counts[word.lower()]
        for pair in pairwise(phrase):
            if len(" ".join(pair)) < longest:
                scored[" ".join(pair)] = sum(scored[word] for word in pair)
    return sorted(scored, key=lambda word: -scored[word])[:_MOST]
