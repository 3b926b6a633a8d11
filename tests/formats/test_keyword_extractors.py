from __future__ import annotations

import importlib.util

import pytest

from penwright.errors import DataError, MissingExtraError
from penwright.formats import keyword_extractors
from penwright.formats.keyword_extractors import (
    choose_extractor,
    find_phrases,
    load_extractor,
    tidy,
)

TEXT = "My little Clementine always looks like she’s staring straight into my soul"
has_spacy = importlib.util.find_spec("spacy") is not None
needs_spacy = pytest.mark.skipif(not has_spacy, reason="spaCy is not installed")
needs_yake = pytest.mark.skipif(
    importlib.util.find_spec("yake") is None, reason="YAKE is not installed"
)


def test_keywords_are_tidy():
    found = tidy(["the", "Cats", "cats", "my soul", "she", "can’t", "", "x", "C4"])
    assert found == ["Cats", "my-soul", "C4"]


def test_the_built_in_way_finds_words_between_stop_words():
    found = tidy(find_phrases(TEXT, 20))
    assert set(found) == {
        "little", "Clementine", "little-Clementine", "looks", "staring", "straight",
        "staring-straight", "soul",
    }  # fmt: skip
    assert "little-Clementine" not in tidy(find_phrases(TEXT, 17))


@needs_yake
def test_yake_finds_pairs_shorter_than_asked():
    found = load_extractor(choose_extractor("yake"), 20)([TEXT, "", "Map camouflage."])
    assert "Clementine" in found[0]
    assert found[1] == []
    assert set(found[2]) == {"Map-camouflage", "Map", "camouflage"}
    short = load_extractor(choose_extractor("yake"), 10)(["Map camouflage."])[0]
    assert "Map-camouflage" not in short


def make_pipeline(folder):
    """A pipeline that knows this one sentence: parts of speech, lemmas and one name."""
    spacy = pytest.importorskip("spacy")
    nlp = spacy.blank("en")
    rules = nlp.add_pipe("attribute_ruler")
    known = {
        "little": ("ADJ", "little"),
        "always": ("ADV", "always"),
        "looks": ("VERB", "look"),
        "staring": ("VERB", "stare"),
        "straight": ("ADV", "straight"),
        "soul": ("NOUN", "soul"),
        "souls": ("NOUN", "soul"),
        "Clementine": ("PROPN", "Clementine"),
        "Paris": ("PROPN", "Paris"),
        "She": ("PRON", "she"),
    }
    for word, (kind, lemma) in known.items():
        rules.add([[{"ORTH": word}]], {"POS": kind, "LEMMA": lemma})
    names = nlp.add_pipe("entity_ruler")
    names.add_patterns([{"label": "GPE", "pattern": [{"ORTH": "New"}, {"ORTH": "York"}]}])
    nlp.to_disk(folder)
    return folder


@needs_spacy
def test_spacy_lemmatises_verbs_and_keeps_nouns_and_names(tmp_path):
    model = str(make_pipeline(tmp_path / "pipeline"))
    chosen = choose_extractor("auto", model)
    assert chosen.name == "spacy"
    assert model in chosen.says
    found = load_extractor(chosen, 20)([TEXT, "She lost souls of New York in Paris"])
    # "always" is a stop word, "my" and "she" are pronouns; "looks" is a form of "look".
    assert found[0] == ["little", "Clementine", "look", "stare", "straight", "soul"]
    assert found[1] == ["souls", "Paris", "New-York"]


@needs_spacy
def test_short_groups_of_words_around_a_noun_are_keywords():
    spacy = pytest.importorskip("spacy")
    from spacy.tokens import Doc

    words = ["I", "saw", "my", "soul", "and", "the", "extraordinarily", "long", "winter"]
    pos = ["PRON", "VERB", "PRON", "NOUN", "CCONJ", "DET", "ADV", "ADJ", "NOUN"]
    heads = [1, 1, 3, 1, 3, 8, 7, 8, 3]
    deps = ["nsubj", "ROOT", "poss", "dobj", "cc", "det", "advmod", "amod", "conj"]
    doc = Doc(spacy.blank("en").vocab, words=words, pos=pos, heads=heads, deps=deps, lemmas=words)
    found = tidy(keyword_extractors.keywords_of(doc, 20))
    assert "my-soul" in found
    assert not any("winter" in word and "-" in word for word in found), "too long"
    assert "I" not in found


def test_what_is_chosen_is_said(monkeypatch):
    monkeypatch.setattr(keyword_extractors, "find_models", list)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "yake" or None)
    assert choose_extractor().name == "yake"
    monkeypatch.setattr(importlib.util, "find_spec", {}.get)
    assert choose_extractor().name == "builtin"
    assert "pip install" in choose_extractor().says
    assert "pip install" not in choose_extractor("builtin").says
    for name in ("yake", "spacy"):
        with pytest.raises(MissingExtraError):
            choose_extractor(name)
    monkeypatch.setattr(keyword_extractors, "find_models", lambda: ["en_core_web_sm"])
    assert choose_extractor() == ("spacy", "en_core_web_sm", choose_extractor().says)


@needs_spacy
def test_a_model_that_is_not_there_is_named(tmp_path):
    chosen = choose_extractor("auto", str(tmp_path / "none"))
    with pytest.raises(DataError, match="none"):
        load_extractor(chosen, 20)


@needs_spacy
def test_models_are_looked_up_without_loading_spacy(monkeypatch):
    class Entry:
        def __init__(self, name):
            self.name = name

    entries = [Entry("xx_ent_wiki_sm"), Entry("en_other"), Entry("en_core_web_md")]
    monkeypatch.setattr(keyword_extractors.importlib.metadata, "entry_points", lambda **_: entries)
    assert keyword_extractors.find_models() == ["en_core_web_md", "en_other", "xx_ent_wiki_sm"]
