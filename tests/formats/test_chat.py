from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright import formats
from penwright.config import DataConfig
from penwright.document import Span
from penwright.errors import DataError, UsageError
from penwright.formats import chat

from .conftest import Read

SYSTEM = {"role": "system", "content": "Be brief."}
TURNS = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Who are you?"},
    {"role": "assistant", "content": "Ann."},
]
SPANS = (
    Span("User: Hi\nAssistant:", False),
    Span(" Hello\n", True),
    Span("User: Who are you?\nAssistant:", False),
    Span(" Ann.", True),
)


def write(path: Path, value: object) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in value))  # type: ignore[attr-defined]
    else:
        path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def marked(turns: list[dict[str, str]]) -> str:
    return "".join(f"<|im_start|>{t['role']}\n{t['content']}<|im_end|>\n" for t in turns)


SENT = [{"sender": turn["role"], "text": turn["content"]} for turn in TURNS]
SHARED = [{"from": "human" if t["role"] == "user" else "gpt", "value": t["content"]} for t in TURNS]
TREE = {
    "title": "x",
    "current_node": "4",
    "mapping": {
        "0": {"id": "0", "message": None, "parent": None},
        "x": {"message": {"author": {"role": "user"}, "content": {"parts": ["-"]}}, "parent": 0},
        **{
            str(i): {
                "message": {"author": {"role": t["role"]}, "content": {"parts": [t["content"]]}},
                "parent": str(i - 1),
            }
            for i, t in enumerate(TURNS, 1)
        },
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("openai.jsonl", [{"messages": TURNS}]),
        ("sharegpt.json", [{"id": "1", "conversations": SHARED}]),
        ("claude.json", [{"chat_messages": SENT}]),
        ("one.json", TURNS),
        ("list.jsonl", [TURNS]),
        ("chatml.json", [{"text": marked(TURNS)}]),
        ("chatml.txt", marked(TURNS)),
        ("chatgpt.json", [TREE]),
    ],
)  # fmt: skip
def test_conversations_of_all_kinds(tmp_path: Path, read: Read, name: str, value: object) -> None:
    path = write(tmp_path / name, value)
    (document,) = read(path)
    assert document.spans == SPANS
    reading = formats.describe([path], DataConfig())
    assert reading.prompt_format == "User: {prompt}\nAssistant:"
    assert r"a turn is '{speaker}: {text}\n' (--template changes it)" in str(reading)


def test_alpaca(tmp_path: Path, read: Read) -> None:
    rows = [
        {"instruction": "Add.", "input": "1 and 2", "output": "3"},
        {"instruction": "Greet.", "input": "", "output": "Hi!"},
    ]
    for path in (write(tmp_path / "t.json", rows), tmp_path / "t.csv"):
        if path.suffix == ".csv":
            path.write_text('instruction,input,output\nAdd.,1 and 2,3\nGreet.,"",Hi!\n')
        assert [(d.text, d.learned) for d in read(path)] == [
            ("User: Add.\n1 and 2\nAssistant: 3", " 3"),
            ("User: Greet.\nAssistant: Hi!", " Hi!"),
        ]
    (first, _) = read(path, template="{instruction} -> {output}")
    assert first.text == "Add. -> 3"


def test_the_template_and_who_is_learned(tmp_path: Path, read: Read) -> None:
    path = write(tmp_path / "t.jsonl", [{"messages": [SYSTEM, *TURNS]}])
    template = "<|{role}|>{text}<|end|>\\n"
    (document,) = read(path, template=template)
    assert document.spans[:2] == (
        Span("<|system|>Be brief.<|end|>\n<|user|>Hi<|end|>\n<|assistant|>", False),
        Span("Hello<|end|>\n", True),
    )
    asked = formats.describe([path], DataConfig(template=template)).prompt_format  # type: ignore[arg-type]
    assert asked == "<|user|>{prompt}<|end|>\n<|assistant|>"
    assert read(path, learn=("all",))[0].learned == read(path)[0].text
    (user,) = read(path, speaker=("User",))
    assert user.learned == " Hi\n Who are you?"
    assert not user.text.endswith("Ann.")


def test_what_is_no_text_is_counted(tmp_path: Path, read: Read, warnings: list[str]) -> None:
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {}}]
    turns = [
        {"role": "user", "content": parts},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "assistant", "content": "A cat."},
        {"role": "assistant", "content": " "},
        {"role": "user", "content": "Thanks"},
    ]
    path = write(tmp_path / "t.jsonl", [{"messages": turns}, {"messages": []}])
    assert [d.text for d in read(path)] == ["User: What is it?\nAssistant: A cat."]
    assert [warning.removeprefix(str(path)) for warning in warnings] == [
        ": 1 message was left out, without text.",
        ": 2 parts were left out that text cannot hold (pictures, files, calls, notices).",
        ":2: 1 conversation was left out, without text to learn.",
        ":1: 1 conversation was cut after the last learned turn: nothing learned follows.",
    ]


@pytest.mark.parametrize(
    ("value", "options", "error"),
    [
        ([{"conversations": [{"from": "Ann", "value": "a"}, {"from": "Bob", "value": "b"}]}], {},
         "t.jsonl:1: nothing is learned from this conversation: nobody in it is called Assistant. "
         "Its speakers are: Ann, Bob. Say who is learned with --speaker NAME"),
        ([{"messages": TURNS}], {"speaker": ("Asistant",)}, "Did you mean 'Assistant'"),
        ([{"messages": TURNS}, {"messages": [{"role": "user"}]}], {},
         "t.jsonl:2, turn 1 of 'messages' has no role or no content. Write a turn as an object"),
        ([{"messages": TURNS}, {"messages": "Hi"}], {}, "t.jsonl:2: 'messages' is not a list of"),
        ([{"messages": [{"role": "user", "content": {"a": 1}}]}], {},
         "t.jsonl:1, turn 1 of 'messages': a turn holds"),
        ([{"chosen": TURNS, "rejected": TURNS}], {}, "several columns that hold a conversation"),
        ([{"text": marked(TURNS) + "more"}], {}, "there is text outside of <|im_start|>"),
        ([{"messages": TURNS}], {"learn": ("x",)}, "--learn names columns"),
        ([{"messages": TURNS}], {"learn": ("all",), "speaker": ("User",)}, "exclude each other"),
        ([{"messages": TURNS}], {"template": "{speaker}"}, "There is no column 'text' to learn"),
        ([{"text": "Hi"}], {"speaker": ("Ann",)}, "holds no conversation, so --speaker has no"),
    ],
)  # fmt: skip
def test_conversations_that_cannot_be_read(
    tmp_path: Path, read: Read, value: list[Any], options: dict[str, Any], error: str
) -> None:
    path = write(tmp_path / "t.jsonl", value)
    with pytest.raises((DataError, UsageError), match=re.escape(error)):
        read(path, **options)


def test_turns_while_they_fit(tmp_path: Path, read: Read, warnings: list[str]) -> None:
    path = write(tmp_path / "t.jsonl", [{"messages": TURNS}, {"messages": TURNS[2:]}])
    assert [d.text for d in read(path, max_words=6)] == [
        "User: Hi\nAssistant: Hello",
        "User: Who are you?\nAssistant: Ann.",
    ]
    assert f"{path}:1: 1 conversation was cut at --max-words or --max-tokens." in warnings
    warnings.clear()
    assert [d.text for d in read(path, max_words=5)] == ["User: Hi\nAssistant: Hello"]
    assert f"{path}:2: 1 conversation was left out: no learned turn fits." in warnings


@given(
    turns=st.lists(
        st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text()), max_size=8
    ),
    piece=st.integers(0, 20),
)
def test_every_learned_text_is_an_answer(
    tmp_path_factory: pytest.TempPathFactory, turns: list[tuple[str, str]], piece: int
) -> None:
    """Also where a long conversation comes in pieces."""
    path = tmp_path_factory.mktemp("f") / "t.jsonl"
    write(path, [{"messages": [{"role": r, "content": c} for r, c in turns]}, {"messages": TURNS}])
    data = DataConfig(skip_empty=True, template="{speaker}\\0{text}\\0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chat, "PIECE", piece)
        found = list(formats.read([path], data, lambda _: None))
    learned = "".join(document.learned for document in found)
    answers = [c.strip() for r, c in turns if r == "assistant" and c.strip()]
    assert learned == "".join(f"{text}\\0" for text in [*answers, "Hello", "Ann."])
    assert not found[-1].more


EXPORTS = {
    "telegram": json.dumps(
        {
            "name": "Ann",
            "type": "personal_chat",
            "id": 1,
            "messages": [
                {"id": 1, "type": "service", "from_id": "user1", "text": ""},
                {"id": 2, "type": "message", "from": "Ann", "from_id": "user1", "text": "Hi: you"},
                {
                    "id": 3,
                    "type": "message",
                    "from": "Bob",
                    "from_id": "user2",
                    "text": ["See ", {"type": "link", "text": "x.org"}, "\nok"],
                },
                {"id": 4, "type": "message", "from": "Ann", "from_id": "user1", "text": ""},
            ],
        }
    ),
    "discord": json.dumps(
        {
            "guild": {"id": "1", "name": "Server"},
            "channel": {"id": "2", "name": "Ann"},
            "exportedAt": "2024-01-01T00:00:00+00:00",
            "messages": [
                {"type": "GuildMemberJoin", "content": "Joined.", "author": {"name": "ann"}},
                {"type": "Default", "content": "Hi: you", "author": {"nickname": "Ann"}},
                {"type": "Reply", "content": "See x.org\nok", "author": {"name": "Bob"}},
                {"type": "Default", "content": "", "author": {"name": "Bob"}},
            ],
            "messageCount": 4,
        }
    ),
    "discord.csv": "\ufeffAuthorID,Author,Date,Content,Attachments,Reactions\n"
    '"1","Ann","2024-01-01T00:00:00","Hi: you","",""\n'
    '"2","Bob","2024-01-01T00:00:00","See x.org\nok","",""\n'
    '"2","Bob","2024-01-01T00:00:00","","https://cdn/p.png",""\n',
    "ios": "[12/31/23, 9:41:05\u202fPM] Ann: \u200eMessages and calls are end-to-end encrypted.\n"
    "[12/31/23, 9:42:05\u202fPM] Ann: Hi: you\n"
    "[12/31/23, 9:43:05\u202fPM] ~\u202fBob: See x.org\nok \u200e<This message was edited>\n"
    "\u200e[12/31/23, 9:44:05\u202fPM] Ann: \u200eimage omitted\n",
    "android": "31/12/2023, 21:41 - Messages and calls are end-to-end encrypted. Tap.\n"
    "31/12/2023, 21:42 - Ann: Hi: you\n"
    "31/12/2023, 21:43 - Bob: See x.org\nok\n"
    "31/12/2023, 21:44 - Bob: <Media omitted>\n",
    "german": "31.12.23, 21:42 - Ann: Hi: you\n31.12.23, 21:43 - Bob: See x.org\nok\n",
    "finnish": "[12.3.2022 klo 14.08.18] Ann: Hi: you\n"
    "[12.3.2022 klo 14.08.19] Bob: See x.org\nok\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", EXPORTS)
def test_exports_of_messengers(tmp_path: Path, read: Read, warnings: list[str], kind: str) -> None:
    suffix = {"telegram": "json", "discord": "json", "discord.csv": "csv"}.get(kind, "txt")
    path = tmp_path / f"chat.{suffix}"
    path.write_text(EXPORTS[kind], encoding="utf-8")
    (document,) = read(path)
    assert document.spans == (Span("Ann: Hi: you\nBob: See x.org\nok", True),)
    notices = EXPORTS[kind].count("encrypted") + EXPORTS[kind].count("omitted")
    left_out = {"telegram": 2, "discord": 2, "discord.csv": 1}.get(kind, notices)
    assert sum(int(n) for w in warnings for n in re.findall(r": (\d+) parts? ", w)) == left_out
    says = str(formats.describe([path], DataConfig()))
    assert "everything is learned (--speaker NAME" in says
    assert "speakers: Ann, Bob" in says
    (bob,) = read(path, speaker=("Bob",))
    assert bob.spans == (Span("Ann: Hi: you\nBob:", False), Span(" See x.org\nok", True))
    assert formats.describe([path], DataConfig(speaker=("Bob",))).prompt_format == (
        "Ann: {prompt}\nBob:"
    )
    with pytest.raises(DataError, match=r"nobody in it is called Anne.*Did you mean 'Ann'"):
        read(path, speaker=("Anne",))


def test_all_chats_of_telegram(tmp_path: Path, read: Read, warnings: list[str]) -> None:
    one = json.loads(EXPORTS["telegram"])
    path = tmp_path / "result.json"
    everything = {
        "about": "Here is the data you requested.",
        "personal_information": {"first_name": "Bob"},
        "chats": {"about": "x", "list": [one, one | {"name": "Cleo"}, {"id": 3, "messages": []}]},
    }
    path.write_text(json.dumps(everything))
    found = read(path)
    assert [(d.fields["chat"], d.source.line) for d in found] == [("Ann", 1), ("Cleo", 2)]
    empty = "conversation 3: 1 conversation was left out, without text to learn."
    assert f"{path}: {empty}" in warnings
    path.write_text(json.dumps(everything)[:-1])
    with pytest.raises(DataError, match=r"result.json:1: this is not valid JSON"):
        read(path)


def test_a_text_with_times_is_no_export(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.txt"
    path.write_text("A diary.\n31/12/2023, 21:42 - Ann: Hi\n")
    assert formats.detect(path) == "text"
    path.write_text(EXPORTS["android"])
    assert len(read(path, documents="line")) == 5
