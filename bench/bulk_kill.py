"""Write thousands of prompts, killed three times: is the file the one of an uninterrupted run?

    python bench/bulk_kill.py --rows 10000

Runs `penwright generate base --prompts ... --output ...jsonl` once to its end, and once with three
SIGKILLs at about a quarter, a half and three quarters; then compares the two files byte for byte.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def count_lines(path: Path) -> int:
    """Return the number of whole lines of a file that is being written."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--max-new-tokens", default="6")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prompts = "".join(f"The {n} geese{' walk' * (n % 7)}\n" for n in range(asked.rows))
        (folder / "prompts.txt").write_text(prompts)
        command = [sys.executable, "-m", "penwright", "generate", "base", "--weights", "float32"]
        command += ["--prompts", "prompts.txt", "--max-new-tokens", asked.max_new_tokens]

        def run(output: str) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [*command, "--output", output], cwd=folder, stderr=subprocess.DEVNULL
            )

        assert run("whole.jsonl").wait() == 0
        for kill in (1, 2, 3):
            process = run("killed.jsonl")
            while count_lines(folder / "killed.jsonl") < kill * asked.rows // 4:
                assert process.poll() is None, "it ended before it was killed"
                time.sleep(0.05)
            process.kill()
            process.wait()
            print(f"killed with {count_lines(folder / 'killed.jsonl'):,} rows in the file")
        assert run("killed.jsonl").wait() == 0
        whole, killed = (folder / f"{name}.jsonl" for name in ("whole", "killed"))
        assert count_lines(killed) == asked.rows
        assert killed.read_bytes() == whole.read_bytes(), "the files differ"
        print(f"{asked.rows:,} rows, each exactly once, equal to the uninterrupted file")


if __name__ == "__main__":
    main()
