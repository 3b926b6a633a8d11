"""The wheel and the sdist are built, installed into an empty environment, and tried."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = "Scripts" if os.name == "nt" else "bin"

pytestmark = pytest.mark.slow


def call(*words: str | Path, cwd: Path) -> str:
    """Run a command with nothing of this environment's paths; returns what it printed."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRT"))
    }
    clean |= {"PENWRIGHT_CACHE": str(cwd / "cache"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """The wheel and the sdist of a copy of the sources."""
    pytest.importorskip("hatchling", reason="needs hatchling, of penwright[dev]")
    place = tmp_path_factory.mktemp("built")
    skip = shutil.ignore_patterns(".*", "runs", "dist", "build", "site", "__pycache__", "*.whl")
    shutil.copytree(ROOT, place / "sources", ignore=skip)
    shutil.copy(ROOT / ".gitignore", place / "sources")
    call(sys.executable, "-m", "hatchling", "build", "-d", place, cwd=place / "sources")
    (wheel,), (sdist,) = place.glob("*.whl"), place.glob("*.tar.gz")
    return {"wheel": wheel, "sdist": sdist}


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """The command of an environment that holds the wheel, and only sees what it depends on."""
    place = tmp_path_factory.mktemp("environment")
    call(sys.executable, "-m", "venv", "env", cwd=place)
    pip = place / "env" / BIN / "pip"
    call(pip, "install", "--no-index", "--no-deps", built["wheel"], cwd=place)
    # Its dependencies are not installed again, which would need the network: they are looked up.
    (own,) = (place / "env").rglob("site-packages")
    (own / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return place / "env" / BIN / "penwright"


def test_the_wheel_is_small_and_holds_what_it_needs(built):
    assert built["wheel"].stat().st_size < 40_000_000
    names = zipfile.ZipFile(built["wheel"]).namelist()
    for needed in (
        "py.typed", "assets/base/model.safetensors", "assets/recipes/stories.toml",
        "assets/samples/hill.jsonl", "serve/page/index.html", "native/c/decode.c",
    ):  # fmt: skip
        assert f"penwright/{needed}" in names
    assert not [name for name in names if "tests" in name or name.endswith(".pyc")]


def test_the_sdist_makes_the_same_wheel(built, tmp_path):
    with tarfile.open(built["sdist"]) as archive:
        archive.extractall(tmp_path, filter="data")
    (sources,) = (path for path in tmp_path.iterdir() if path.is_dir())
    call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=sources)
    (again,) = tmp_path.glob("*.whl")
    listed = [
        {name for name in zipfile.ZipFile(path).namelist() if ".so" not in name}
        for path in (built["wheel"], again)
    ]
    assert listed[0] == listed[1]


def test_it_trains_and_writes_in_an_empty_environment(installed, tmp_path):
    (tmp_path / "story.txt").write_text("The goose asked for tea, and it rained. " * 60)
    python = installed.with_name("python")
    where = call(python, "-c", "import penwright; print(penwright.__file__)", cwd=tmp_path)
    assert str(installed.parents[1]) in where, "not the wheel's own package"
    assert "penwright" in call(installed, "--version", "--verbose", cwd=tmp_path)
    assert "stories" in call(installed, "recipe", cwd=tmp_path)
    call(installed, "inspect", "story.txt", "--model", "base", cwd=tmp_path)
    few = ("--steps", "2", "--max-length", "48", "--sample-every", "0")
    call(installed, "finetune", "story.txt", "--model", "base", *few, cwd=tmp_path)
    assert call(installed, "generate", "story", "--max-new-tokens", "5", cwd=tmp_path).strip()
