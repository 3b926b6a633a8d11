"""What the page asks of the server besides documents: contexts, presets, kept passages, files."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from penwright.serve.app import make_app
from penwright.serve.security import TOKEN_HEADER, Access
from tests.formats.test_books import write_docx
from tests.serve.conftest import TOKEN, make_server

WINDOW = 64


@pytest.fixture
def ask(client):
    def ask(path: str, body=None, status: int = 200):
        headers = {TOKEN_HEADER: TOKEN}
        url = f"/penwright/{path}"
        answer = (
            client.get(url, headers=headers)
            if body is None
            else client.post(url, json=body, headers=headers)
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    return ask


def texts(found, name: str) -> list[str]:
    return [part["text"] for part in found["parts"] if part["name"] == name]


def test_a_short_text_is_received_whole(ask, writer):
    found = ask("context", {"left": "It rained.", "max_tokens": 10})
    assert found["ids"] == writer.tokenizer.encode_prompt("It rained.")
    assert texts(found, "text") == ["It rained."]
    assert (found["window"], found["reserved"]) == (WINDOW, 10)


def test_a_long_text_keeps_its_end_and_leaves_room_to_write(ask, writer):
    left = "\n".join(f"Line {number} of a long text." for number in range(60)) + "\nThe end"
    found = ask("context", {"left": left, "memory": "Of Anna.", "max_tokens": 20})
    assert len(found["ids"]) <= WINDOW - 20
    (kept,) = texts(found, "text")
    assert left.endswith(kept)
    assert found["parts"][-1]["cut"]
    assert texts(found, "memory") == ["Of Anna.\n"]
    assert writer.tokenizer.decode(found["ids"]).endswith("Of Anna.\n" + kept)


def test_lore_is_included_where_a_name_occurs_as_a_word(ask):
    lore = [{"keys": ["Mill", "miller"], "text": "It is old."}, {"keys": ["an"], "text": "No."}]
    assert texts(ask("context", {"left": "Anna saw the mill.", "lore": lore}), "lore") == [
        "It is old.\n"
    ]
    assert texts(ask("context", {"left": "Anna saw the milling.", "lore": lore}), "lore") == []


def test_the_note_stands_some_lines_before_the_end(ask):
    body = {"left": "One\nTwo\nThree\nFour", "note": "[Sad]", "note_lines": 1}
    found = ask("context", body)
    names = [(part["name"], part["text"]) for part in found["parts"]]
    assert names == [("text", "One\nTwo\n"), ("note", "[Sad]\n"), ("text", "Three\nFour")]


def test_a_record_begins_with_the_fields_that_are_given(writer, tmp_path):
    records = replace(writer, template="{title} ({year}): {text}")
    app = make_app(make_server([records], tmp_path), Access.choose("127.0.0.1", 8000, token=TOKEN))
    with TestClient(app, base_url="http://127.0.0.1:8000", headers={TOKEN_HEADER: TOKEN}) as client:
        for given, begin in (
            ({"title": "The sea", "year": "1912"}, "The sea (1912): "),
            ({"title": "The sea"}, "The sea ("),
            ({"year": "1912"}, ""),
            ({}, None),
        ):
            body = {"left": "It", "fields": given}
            found = client.post("/penwright/context", json=body).json()
            assert found["fields"] == ["title", "year", "text"]
            assert texts(found, "fields") == ([] if begin is None else [begin])
            assert records.tokenizer.decode(found["ids"]).endswith((begin or "") + "It")


def test_no_number_of_pinned_texts_leaves_no_room_for_the_text(ask):
    long = "word " * 500
    lore = [{"keys": ["rained"], "text": long}] * 5
    body = {"left": "It rained.", "memory": long, "note": long, "lore": lore, "max_tokens": 99}
    found = ask("context", body)
    assert len(found["ids"]) <= WINDOW // 2
    assert "It rained." in "".join(texts(found, "text"))


def test_copies_need_a_run_with_its_training_text(ask):
    error = ask("copied", {"text": "It rained."}, 400)["error"]["message"]
    assert "training text is unknown" in error


def test_presets_and_passages_are_files_beside_the_documents(ask):
    assert ask("presets") == {"presets": {}}
    ask("presets", {"presets": {"Mine": {"temperature": 0.5}}})
    assert ask("presets") == {"presets": {"Mine": {"temperature": 0.5}}}
    for number in (1, 2):
        found = ask("kept", {"text": "It rained.", "model": "tiny"})
        assert found["passages"] == number
    lines = Path(found["file"]).read_text("utf-8").splitlines()
    assert json.loads(lines[0])["machine_written"] is True
    assert ask("documents") == []


@pytest.mark.parametrize(
    ("name", "data", "text", "says"),
    [
        ("night.txt", "It was däрk.\r\n🌙".encode(), "It was däрk.\n🌙", ""),
        ("night.md", b"\xef\xbb\xbf# Night\n\n<|endoftext|>", "# Night\n\n<|endoftext|>", ""),
        (
            "night.txt",
            "Das M\xe4dchen\u2026 ".encode("cp1252") * 400,
            "Das Mädchen… " * 400,
            "1252",
        ),
        ("night.txt", "Nacht".encode("utf-16"), "Nacht", ""),
    ],
)
def test_a_text_file_becomes_a_document(ask, name, data, text, says):
    body = {"title": "night", "name": name, "data": base64.b64encode(data).decode()}
    found = ask("documents/import", body)
    assert found["text"] == text
    assert bool(found["notes"]) == bool(says)
    assert all(name in note and says in note for note in found["notes"])


@pytest.mark.parametrize("name", ["night.exe", "night.epub", "night.pdf"])
def test_what_is_no_text_is_refused(ask, name):
    data = base64.b64encode(b"\x00\x01PK\x00" * 9).decode()
    said = ask("documents/import", {"name": name, "data": data}, 400)
    assert name in said["error"]["message"]


def test_a_docx_becomes_a_document(ask, tmp_path):
    write_docx(tmp_path / "night.docx", "<w:p><w:r><w:t>It rained.</w:t></w:r></w:p>")
    data = base64.b64encode((tmp_path / "night.docx").read_bytes()).decode()
    found = ask("documents/import", {"title": "night", "name": "night.docx", "data": data})
    assert found["text"] == "It rained."
