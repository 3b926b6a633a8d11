// The tray below the text: continuations to choose from, or the alternatives to a word.
import { html, nothing } from "../vendor/lit.js";
import { iconButton, keyName } from "../ui.js";
import { sourceOf } from "./editor.js";
import { accept, activate, busy, choices, dismiss } from "./generate.js";
import { looked, percent, take } from "./words.js";

export const tray = (session) =>
  choices.value ? continuations(session, choices.value) : looked.value ? alternatives(session, looked.value) : nothing;

function continuations(session, { items, active, fill, done, blank }) {
  const about = !fill
    ? "Continuations"
    : busy.value === "ranking"
      ? "Ranking by how well your text follows"
      : "For this gap: written from the left, ranked by how likely your text after it follows";
  return html`<section class="tray" aria-label="Continuations">
    <div class="row tray-head">
      <h2 class="small">${about}${blank ? `; ${blank} more came out blank` : ""}</h2>
      <span class="spacer"></span>
      ${iconButton("close", "Put them away; they stay in the tree", dismiss, { key: "Escape" })}
    </div>
    <div class="cards">
      ${items.map(
        (item, index) => html`<button
          class="choice"
          aria-pressed=${index === active}
          @click=${() => (index === active && done ? accept(session, "all") : activate(index))}
          @dblclick=${() => done && accept(session, "all")}
        >
          <span class="choice-text">${item.text.slice(item.taken ?? 0).trim() || "..."}</span>
          ${fill ? html`<span class="small soft">${item.score === undefined ? "\u00a0" : index ? index + 1 : "fits best"}</span>` : nothing}
        </button>`,
      )}
    </div>
    <div class="row tray-foot">
      <button class="primary" ?disabled=${!done} title=${keyName("Tab")} @click=${() => accept(session, "all")}>Take it</button>
      <button ?disabled=${!done} title=${keyName("Alt-Shift-ArrowRight")} @click=${() => accept(session, "sentence")}>Sentence</button>
      <button ?disabled=${!done} title=${keyName("Alt-ArrowRight")} @click=${() => accept(session, "word")}>Word</button>
      <span class="spacer"></span>
      <span class="small soft wide-only">${keyName("Alt")} and arrows choose; Tab takes</span>
    </div>
  </section>`;
}

const alternatives = (session, { word, share, list, copied }) => html`<section class="tray" aria-label="Alternatives">
  <div class="row tray-head">
    <h2 class="small">Instead of "${word.trim()}" (${percent(share)}). Some only begin a word; those with … join the word before.</h2>
    <span class="spacer"></span>
    ${iconButton("close", "Close", () => (looked.value = null))}
  </div>
  ${copied ? html`<div class="small">${sourceOf(copied)}</div>` : nothing}
  <div class="alternatives">
    ${list.map(
      ([text, one, shown]) => html`<button @click=${() => take(session, text)}>
        <span>${shown || (text.includes("\n") ? "new line" : "space")}</span>
        <span class="small soft">${percent(one)}</span>
        <svg class="share" width="${Math.max(1, one * 100)}%" height="3" aria-hidden="true"></svg>
      </button>`,
    )}
  </div>
</section>`;
