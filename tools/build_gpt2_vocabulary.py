"""Rebuild GPT-2's vocabulary, byte for byte, from the ranks in the npm package tiktoken (MIT).

    python tools/build_gpt2_vocabulary.py [--package tiktoken-1.0.22.tgz] [--output FOLDER]

The package carries, for every token, its rank: the order in which byte-pair merges were learned.
A token's two halves are what the merges of lower rank make of it, so the ranks give back OpenAI's
merges.txt, and the merges give back vocab.json. Both are compared with OpenAI's SHA-256 before
anything is written. Without --package the package is fetched with `npm pack`.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import itertools
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "tiktoken@1.0.22"
RANKS = "package/encoders/gpt2.json"
VOCAB_SHA256 = "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"
MERGES_SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
ASSETS = Path(__file__).resolve().parent.parent / "src" / "penwright" / "assets" / "gpt2"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--package", type=Path, help="the npm package, as a .tgz file")
    parser.add_argument("--output", type=Path, default=ASSETS, help="where merges.txt.gz goes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        package = arguments.package or fetch(Path(scratch))
        tokens, special = read_ranks(package)
    merges = render_merges(tokens)
    vocabulary = render_vocabulary(tokens, special)
    check("merges.txt", merges, MERGES_SHA256)
    check("vocab.json", vocabulary, VOCAB_SHA256)
    arguments.output.mkdir(parents=True, exist_ok=True)
    target = arguments.output / "merges.txt.gz"
    target.write_bytes(gzip.compress(merges, 9, mtime=0))
    print(f"wrote {target} ({target.stat().st_size:,} bytes); vocab.json follows from it")


def fetch(folder: Path) -> Path:
    """The package as npm hands it out."""
    subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True)
    return next(folder.glob("*.tgz"))


def read_ranks(package: Path) -> tuple[list[bytes], dict[str, int]]:
    """Every token's bytes in the order of its rank, and the special tokens' ids."""
    with tarfile.open(package) as archive:
        member = archive.extractfile(RANKS)
        if member is None:
            raise SystemExit(f"{package} has no {RANKS}")
        content = json.load(member)
    marker, offset, *tokens = content["bpe_ranks"].split()
    if marker != "!" or offset != "0":
        raise SystemExit(f"{package}: {RANKS} is not written as expected")
    return [base64.b64decode(token) for token in tokens], content["special_tokens"]


def render_merges(tokens: list[bytes]) -> bytes:
    """OpenAI's merges.txt."""
    ranks = {token: rank for rank, token in enumerate(tokens)}
    lines = ["#version: 0.2"]
    for rank, token in enumerate(tokens):
        if len(token) > 1:
            left, right = halves(token, rank, ranks)
            lines.append(f"{spell(left)} {spell(right)}")
    return ("\n".join(lines) + "\n").encode()


def render_vocabulary(tokens: list[bytes], special: dict[str, int]) -> bytes:
    """OpenAI's vocab.json (encoder.json)."""
    ids = {spell(token): rank for rank, token in enumerate(tokens)}
    return json.dumps(ids | special).encode()


def halves(token: bytes, rank: int, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two parts that `token` was merged from: BPE with only the merges before it."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        pairs = [ranks.get(a + b, rank) for a, b in itertools.pairwise(parts)]
        best = min(range(len(pairs)), key=pairs.__getitem__)
        if pairs[best] >= rank:
            raise SystemExit(f"{token!r} cannot be made by merges of lower rank")
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts[0], parts[1]


def byte_alphabet() -> list[str]:
    """The printable character that stands for each byte in OpenAI's files."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


ALPHABET = byte_alphabet()


def spell(token: bytes) -> str:
    """`token` with each byte as its printable character."""
    return "".join(ALPHABET[byte] for byte in token)


def check(name: str, content: bytes, expected: str) -> None:
    """Stop unless `content` is what OpenAI published."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise SystemExit(f"{name} came out wrong: SHA-256 {found}, expected {expected}")
    print(f"{name}: {len(content):,} bytes, SHA-256 {found}")


if __name__ == "__main__":
    main()
