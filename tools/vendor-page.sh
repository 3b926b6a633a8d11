#!/bin/sh
# Make src/penwright/serve/page/vendor: the libraries and the fonts of the page, each with its
# licence, and the SHA-256 of every file. Needs npm and the network. Run it only to change a version.
set -eu

vendor=$(cd "$(dirname "$0")/.." && pwd)/src/penwright/serve/page/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm init -y >/dev/null
npm install --silent --no-audit --no-fund --save-exact \
    @codemirror/state@6.7.6 @codemirror/view@6.43.15 @codemirror/commands@6.11.1 \
    @codemirror/search@6.7.2 lit-html@3.3.3 @preact/signals-core@1.14.5 \
    @fontsource/source-serif-4@5.3.0 esbuild@0.28.2

# A style sheet that is adopted obeys the page's Content-Security-Policy; a <style> element does not.
sed -i 's/if (!root.head && root.adoptedStyleSheets/if (root.adoptedStyleSheets/' \
    node_modules/style-mod/src/style-mod.js
grep -q 'if (root.adoptedStyleSheets' node_modules/style-mod/src/style-mod.js

cat >codemirror.js <<'END'
export * from "@codemirror/state";
export * from "@codemirror/view";
export { defaultKeymap, history, indentWithTab } from "@codemirror/commands";
export { openSearchPanel, search, searchKeymap, searchPanelOpen } from "@codemirror/search";
END
cat >lit.js <<'END'
export { html, svg, nothing, render } from "lit-html";
export { repeat } from "lit-html/directives/repeat.js";
export { live } from "lit-html/directives/live.js";
export { ref } from "lit-html/directives/ref.js";
export { classMap } from "lit-html/directives/class-map.js";
END
cat >signals.js <<'END'
export { batch, computed, effect, signal, untracked } from "@preact/signals-core";
END

rm -rf "$vendor"
mkdir -p "$vendor"
npx esbuild codemirror.js lit.js signals.js --bundle --minify --format=esm --charset=utf8 --target=es2022 \
    --legal-comments=none --outdir="$vendor" --log-level=warning
cp node_modules/@fontsource/source-serif-4/files/source-serif-4-latin-400-normal.woff2 \
    "$vendor/source-serif.woff2"

for package in $(find node_modules -name package.json -path '*node_modules/*' \
    -not -path '*/dist/*' -not -path '*esbuild*' -not -path '*/@types/*' | sort); do
    folder=$(dirname "$package")
    licence=$(find "$folder" -maxdepth 1 -iname 'licen[sc]e*' | head -1)
    [ -n "$licence" ] || continue
    node -p "const p = require('./$package'); p.name + ' ' + p.version + ' (' + p.license + ')'"
    echo
    sed 's/[[:space:]]*$//' "$licence"
    echo
    echo "========================================"
done >"$vendor/LICENSES.txt"

cd "$vendor"
sha256sum -- *.js *.woff2 LICENSES.txt >SHA256SUMS
