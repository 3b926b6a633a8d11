"""Documents as append-only logs: trees, tabs, crashes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.errors import DataError
from penwright.serve.documents import SNAPSHOT_EVERY, Documents, apply_changes
from penwright.serve.security import TOKEN_HEADER
from tests.serve.conftest import TOKEN


def node(id_, parent, changes, author="human", **more):
    return {"id": id_, "parent": parent, "changes": changes, "author": author} | more


def test_a_tree_of_changes(tmp_path):
    documents = Documents(tmp_path)
    id_ = documents.create("A tale", "Once").id
    root = documents.open(id_).head
    chain = [
        node("node-a", root, [[4, 4, " upon a time"]], "model", seed=3),
        node("node-b", "node-a", [[0, 4, "Twice"], [5, 9, "upon"]]),
    ]
    document, moved = documents.append(id_, chain, root)
    assert (moved, document.head) == (True, "node-b")
    assert document.text_of("node-b") == "Twice upon a time"
    assert document.text_of("node-a") == "Once upon a time"
    assert document.text_of(None) == ""
    documents.move(id_, "node-a")
    documents.set(id_, {"title": "A second tale", "memory": "It rains."})
    again = Documents(tmp_path).open(id_)
    assert again.text_of(again.head) == "Once upon a time"
    assert (again.title, again.settings["memory"]) == ("A second tale", "It rains.")
    assert again.nodes["node-a"]["seed"] == 3


def test_a_document_without_a_title_is_listed_by_its_first_words(tmp_path):
    documents = Documents(tmp_path)
    documents.create("Night", "It rained.")
    documents.create("Untitled", "\n\nIt rained for a week,\nand nobody spoke of it any more.")
    documents.create("Untitled")
    names = {one["title"] for one in documents.summaries()}
    assert names == {"Night", "It rained for a week, and nobody spoke of it…", "Untitled"}


def test_the_slower_of_two_tabs_becomes_a_sibling(tmp_path):
    documents = Documents(tmp_path)
    id_ = documents.create("t", "x").id
    root = documents.open(id_).head
    assert documents.append(id_, [node("tab-one", root, [[1, 1, "1"]])], root)[1]
    document, moved = documents.append(id_, [node("tab-two", root, [[1, 1, "2"]])], root)
    assert (moved, document.head) == (False, "tab-one")
    assert document.text_of("tab-two") == "x2"
    # Sent again, as after a lost answer, it is there once.
    documents.append(id_, [node("tab-two", root, [[1, 1, "2"]])], "tab-one")
    assert list(documents.open(id_).nodes) == [root, "tab-one", "tab-two"]


@pytest.mark.parametrize(
    "bad",
    [
        node("node-a", "nowhere", []),
        node("node-a", None, [[0, 9, ""]]),
        node("node-a", None, [[1, 0, ""]]),
        node("node-a", None, [[0, 0]]),
        node("node-a", None, [[0, 0, 5]]),
        node("node-a", None, "text"),
        node("../../x", None, []),
        node("node-a", None, [], author="cat"),
        node("node-a", None, [[0, 0, "\ud800"]]),
        {"author": "human"},
    ],
)
def test_a_node_that_does_not_fit_is_refused_and_nothing_written(tmp_path, bad):
    documents = Documents(tmp_path)
    id_ = documents.create("t").id
    before = (tmp_path / f"{id_}.jsonl").read_bytes()
    with pytest.raises(DataError):
        documents.append(id_, [node("good-1", None, [[0, 0, "a"]]), bad], None)
    assert (tmp_path / f"{id_}.jsonl").read_bytes() == before


def test_a_line_that_a_crash_cut_off_is_counted_and_the_rest_is_kept(tmp_path):
    documents = Documents(tmp_path)
    id_ = documents.create("t", "whole").id
    path = tmp_path / f"{id_}.jsonl"
    with path.open("ab") as file:
        file.write(b'{"node": {"id": "cut-off", "par')
    again = Documents(tmp_path)
    document = again.open(id_)
    assert (document.text_of(document.head), document.damaged) == ("whole", 0)
    again.append(id_, [node("after-1", document.head, [[5, 5, "!"]])], document.head)
    third = Documents(tmp_path).open(id_)
    assert (third.text_of(third.head), third.damaged) == ("whole!", 1)


def test_snapshots_bound_the_work_of_opening(tmp_path):
    documents = Documents(tmp_path)
    id_ = documents.create("t").id
    parent = None
    for number in range(2 * SNAPSHOT_EVERY + 3):
        new = node(f"node-{number}", parent, [[number, number, "é"]])
        documents.append(id_, [new], parent)
        parent = new["id"]
    lines = (tmp_path / f"{id_}.jsonl").read_text("utf-8").splitlines()
    assert sum("snapshot" in json.loads(line) for line in lines) == 2
    document = Documents(tmp_path).open(id_)
    assert document.text_of(document.head) == "é" * (2 * SNAPSHOT_EVERY + 3)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=100)
@given(texts, st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), texts), max_size=3))
def test_changes_count_as_browsers_do(text, wanted):
    """Compared with replacing places of a list of characters, an astral one being two."""
    places = sorted(min(a, len(text)) for pair in wanted for a in pair[:2])
    edits = [(places[2 * i], places[2 * i + 1], wanted[i][2]) for i in range(len(wanted))]
    unit = [0]
    for character in text:
        unit.append(unit[-1] + (2 if ord(character) > 0xFFFF else 1))
    expected, last = "", 0
    for start, end, new in edits:
        expected, last = expected + text[last:start] + new, end
    changes = [[unit[start], unit[end], new] for start, end, new in edits]
    assert apply_changes(text, changes) == expected + text[last:]


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")
def test_nothing_that_was_answered_is_lost_by_a_kill(tmp_path):
    program = """if True:
        import sys
        from pathlib import Path
        from penwright.serve.documents import Documents
        documents = Documents(Path(sys.argv[1]))
        document = documents.create("t")
        print(document.id, flush=True)
        parent = None
        for number in range(10_000):
            node = {"id": f"node-{number}", "parent": parent, "changes": [[number, number, "x"]],
                    "author": "human"}
            documents.append(document.id, [node], parent)
            parent = node["id"]
            print(number, flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    id_ = process.stdout.readline().strip()
    begun = [process.stdout.readline() for _ in range(5)]
    process.send_signal(signal.SIGKILL)
    answered = [int(line) for line in "".join([*begun, process.stdout.read()]).split("\n")[:-1]]
    process.wait()
    process.stdout.close()
    document = Documents(tmp_path).open(id_)
    assert len(answered) > 3
    assert len(document.nodes) >= len(answered)
    assert document.text_of(f"node-{answered[-1]}") == "x" * len(answered)


def test_the_routes(client):
    client.headers[TOKEN_HEADER] = TOKEN
    made = client.post("/penwright/documents", json={"title": "A tale", "text": "Once"}).json()
    id_, root = made["id"], made["head"]
    sent = {
        "nodes": [node("node-a", root, [[4, 4, " more"]], "model", tokens=[[5, -1.5]])],
        "expected": root,
    }
    answer = client.post(f"/penwright/documents/{id_}/append", json=sent)
    assert answer.json() == {"head": "node-a", "moved": True}
    shown = client.get(f"/penwright/documents/{id_}").json()
    assert shown["text"] == "Once more"
    assert [n["id"] for n in shown["nodes"]] == [root, "node-a"]
    assert "tokens" not in shown["nodes"][1]
    one = client.get(f"/penwright/documents/{id_}/nodes/node-a").json()
    assert (one["tokens"], one["text"]) == ([[5, -1.5]], "Once more")
    client.post(f"/penwright/documents/{id_}/move", json={"head": root})
    client.post(f"/penwright/documents/{id_}/settings", json={"values": {"memory": "m"}})
    assert client.get(f"/penwright/documents/{id_}/export").text == "Once"
    records = client.get(f"/penwright/documents/{id_}/export?format=json").json()["records"]
    copy = client.post("/penwright/documents/import", json={"records": records}).json()
    assert (copy["title"], copy["text"], copy["settings"]["memory"]) == ("A tale", "Once", "m")
    listed = client.get("/penwright/documents").json()
    assert {entry["id"] for entry in listed} == {id_, copy["id"]}
    client.post(f"/penwright/documents/{id_}/remove", json={})
    assert client.get(f"/penwright/documents/{id_}").status_code == 404


@pytest.mark.parametrize("id_", ["..", "..%2f..%2fetc", "0" * 16, "x"])
def test_ids_are_no_paths(client, id_):
    answer = client.get(f"/penwright/documents/{id_}", headers={TOKEN_HEADER: TOKEN})
    assert answer.status_code == 404
