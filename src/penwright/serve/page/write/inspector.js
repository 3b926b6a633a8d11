// The panel on the right: options of sampling, what the model receives, the branches.
import { html, live, nothing } from "../vendor/lit.js";
import { signal } from "../vendor/signals.js";
import { model } from "../shell.js";
import { box, choice, field, iconButton, stored, tick } from "../ui.js";
import { branches } from "./branches.js";
import { ABOUT, DEFAULTS, MAIN, OPTIONS, TEXTS, dropPreset, isOwn, keepPreset, presets } from "./request.js";

export const tab = stored("tab", "options");
/** What the model receives at the cursor, as the server put it together. */
export const received = signal(null);

const TABS = { options: "Options", context: "Context", branches: "Branches" };

export const inspector = (session, close) => html`
  <div class="row panel-head">
    <div class="row tabs" role="tablist" aria-label="Panels" @keydown=${walkTabs}>
      ${Object.entries(TABS).map(
        ([name, label]) => html`<button
          class="tab"
          role="tab"
          id="tab-${name}"
          aria-selected=${tab.value === name}
          aria-controls="panel-body"
          tabindex=${tab.value === name ? 0 : -1}
          @click=${() => (tab.value = name)}
        >
          ${label}
        </button>`,
      )}
    </div>
    <span class="spacer"></span>
    ${iconButton("close", "Close the panel", close, { more: "narrow-only" })}
  </div>
  <div id="panel-body" class="panel-body ${tab.value}" role="tabpanel" aria-labelledby="tab-${tab.value}" tabindex="0">
    ${{ options, context, branches }[tab.value](session)}
  </div>
`;

function walkTabs(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const names = Object.keys(TABS);
  tab.value = names[(names.indexOf(tab.value) + step + names.length) % names.length];
  setTimeout(() => document.getElementById(`tab-${tab.value}`).focus());
}

function options(session) {
  const { sampling, preset: chosen } = session.settings.value;
  const preset = chosen in presets() ? chosen : "Balanced";
  const values = { ...DEFAULTS, ...sampling };
  const set = (changed) => session.set({ sampling: { ...sampling, ...changed } });
  const names = Object.keys(presets()).map((name) => [name, name]);
  const take = (name) => session.set({ preset: name, sampling: { ...presets()[name] } });
  const isChanged = JSON.stringify({ ...DEFAULTS, ...presets()[preset] }) !== JSON.stringify(values);
  return html`
    ${field("Preset", choice(preset, names, take))}
    <div class="row">
      <button class="quiet" @click=${() => namePreset(session, values)}>Keep as a preset</button>
      ${isChanged ? html`<button class="quiet" @click=${() => take(preset)}>Undo changes</button>` : nothing}
      ${isOwn(preset) ? html`<button class="quiet" @click=${() => dropPreset(preset)}>Forget it</button>` : nothing}
    </div>
    ${OPTIONS.slice(0, MAIN).map((option) => slider(option, values, set))}
    ${tick("End with a whole sentence", values.finish_sentence, (on) => set({ finish_sentence: on }))}
    ${tick("Stop when it repeats itself", values.on_loop === "stop", (on) => set({ on_loop: on ? "stop" : "allow" }))}
    <details>
      <summary>Words</summary>
      ${Object.entries(TEXTS).map(([name, label]) =>
        field(label, box(values[name], (text) => set({ [name]: text }), { hint: "One text a line; \\n is a new line", rows: 2 })),
      )}
      <h2 class="part-title">Likelier, or less likely</h2>
      ${entries(
        values.bias,
        (bias) => set({ bias }),
        { word: "", by: 3 },
        (one, change) => [
          box(one.word, (word) => change({ word }), { hint: "A word", name: "Word" }),
          slider(["by", "By", -10, 10, 0.5, "Added to its logit: 2 is clearly likelier, -10 is almost never."], one, change),
        ],
      )}
    </details>
    <details>
      <summary>Sampling</summary>
      ${OPTIONS.slice(MAIN).map((option) => slider(option, values, set))}
      ${field("Seed", box(String(values.seed), (seed) => set({ seed: /^\d+$/.test(seed) ? seed : "" }), { hint: "a new one each time" }))}
    </details>
  `;
}

/** A list that grows and shrinks; `show(entry, change)` returns its line and what stands below. */
const entries = (list, set, empty, show) => html`${list.map((entry, index) => {
    const change = (changed) => set(list.map((one, i) => (i === index ? { ...one, ...changed } : one)));
    const [line, below] = show(entry, change);
    return html`<div class="entry">
      <div class="row">
        ${line}
        ${iconButton("close", "Remove the entry", () => set(list.filter((_, i) => i !== index)))}
      </div>
      ${below}
    </div>`;
  })}
  <button class="quiet" @click=${() => set([...list, empty])}>Add an entry</button>`;

const slider = ([name, label, min, max, step, help], values, set) => html`
  <label class="slider" title=${help}>
    <span>${label}</span>
    <input
      type="range"
      min=${min}
      max=${max}
      step=${step}
      .value=${live(String(values[name]))}
      @input=${({ target }) => (target.nextElementSibling.value = target.value)}
      @change=${({ target }) => set({ [name]: Number(target.value) })}
    />
    <output .value=${live(String(values[name]))}></output>
  </label>
`;

function namePreset(session, values) {
  const { preset } = session.settings.value;
  const name = prompt("Name of the preset:", isOwn(preset) ? preset : "")?.trim();
  if (!name) return;
  keepPreset(name, values);
  session.set({ preset: name });
}

const NAMES = { fields: "Fields", keywords: "Keywords", memory: "Memory", lore: "Lore", text: "Text", note: "Author's note" };

function context(session) {
  const values = { ...ABOUT, ...session.settings.value };
  const found = received.value;
  const area = (name, label, hint, rows) =>
    field(label, box(values[name], (text) => session.set({ [name]: text }), { hint, rows }));
  return html`
    ${found ? fullness(found) : nothing}
    ${found?.fields.slice(0, -1).map((name) =>
      field(name, box(values.fields[name] ?? "", (text) => session.set({ fields: { ...values.fields, [name]: text } }), { hint: "a field that it learned" })),
    )}
    ${found?.sections.length ? area("keywords", "Keywords", "cats, moon") : nothing}
    ${found?.sections.includes("category") ? area("category", "Category", "") : nothing}
    ${area("memory", "Memory", "Always at the top: who, where, in which tone", 3)}
    ${area("note", "Author's note", "A few lines before the end: what should happen next", 2)}
    ${field(
      "Lines before the end",
      box(String(values.note_lines), (text) => session.set({ note_lines: Math.min(50, Number.parseInt(text, 10) || 0) })),
      "short",
    )}
    <h2 class="part-title">Lore</h2>
    ${entries(
      values.lore,
      (lore) => session.set({ lore }),
      { keys: [], text: "" },
      (one, change) => [
        box(one.keys.join(", "), (keys) => change({ keys: keys.split(",").map((key) => key.trim()).filter(Boolean) }), {
          hint: "Names, with commas",
          name: "Names",
        }),
        box(one.text, (text) => change({ text }), { hint: "Included when a name occurs", name: "What to know of them", rows: 2 }),
      ],
    )}
    ${found
      ? html`<h2 class="part-title">What ${model.value} receives</h2>
          <pre class="received" tabindex="0" aria-label="What the model receives">${found.parts.map(
            (part) => html`<span class="part in-${part.name}" title="${NAMES[part.name]}, ${part.tokens} tokens"
              >${part.text}</span
            >`,
          )}</pre>`
      : nothing}
  `;
}

function fullness({ parts, window, reserved }) {
  const used = parts.reduce((sum, part) => sum + part.tokens, 0);
  let x = 0;
  const bars = parts.map((part) => {
    const width = (100 * part.tokens) / window;
    x += width;
    return html`<svg class="bar in-${part.name}" width="${width}%" height="100%" aria-hidden="true"></svg>`;
  });
  const sums = {};
  for (const part of parts) sums[part.name] = (sums[part.name] ?? 0) + part.tokens;
  const cut = parts.some((part) => part.name === "text" && part.cut);
  return html`<div class="fullness" role="img" aria-label="${used} of ${window} tokens are used">
      ${bars}<svg class="bar in-reserved" width="${(100 * reserved) / window}%" height="100%" aria-hidden="true"></svg>
    </div>
    <p class="small soft legend">
      ${Object.entries(sums).map(
        ([name, tokens]) => html`<span><i class="dot in-${name}"></i>${NAMES[name]} ${tokens}</span>`,
      )}
      <span><i class="dot in-reserved"></i>for the continuation ${reserved}</span>
      <span>of ${window} tokens</span>
    </p>
    ${cut ? html`<p class="small soft">The dimmed text at the beginning no longer fits.</p>` : nothing}`;
}
