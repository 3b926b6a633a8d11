"""Compile the native decoder into the wheel where there is a C compiler."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeDecoderHook(BuildHookInterface):
    """Adds the compiled library and the platform's tag; without a compiler, neither.

    An editable install gets no library: it is compiled at first use, as the source may change.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or version == "editable":
            return
        sys.path.insert(0, str(Path(self.root) / "src"))
        from penwright.native import build

        compiler = build.find_compiler()
        if compiler is None:
            self.app.display_info("No C compiler: the native decoder is not part of this wheel.")
            return
        path = Path(self.directory) / build.BUNDLED.name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            build.compile_into(path, compiler)
        except build.BuildError as error:
            self.app.display_warning(f"The native decoder is not part of this wheel: {error}")
            return
        build_data["force_include"][str(path)] = f"penwright/native/{path.name}"
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
