// The panel on the right: options of sampling, what the model receives, the branches.
import { html, live, nothing } from "../vendor/lit.js";
import { signal } from "../vendor/signals.js";
import { chosenModel } from "../shell.js";
import { icon, stored } from "../ui.js";
import { branches } from "./branches.js";
import { ABOUT } from "./context.js";
import { DEFAULTS, dropPreset, isOwn, keepPreset, OPTIONS, presets } from "./options.js";

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
    <button class="bare narrow-only" aria-label="Close the panel" @click=${close}>${icon("close")}</button>
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
  const values = { ...DEFAULTS, ...session.settings.value.sampling };
  const set = (changed) =>
    session.set({ sampling: { ...session.settings.value.sampling, ...changed } });
  const preset = session.settings.value.preset ?? "Balanced";
  return html`
    <label class="field"
      >Preset
      <select
        .value=${live(preset)}
        @change=${({ target }) =>
          session.set({ preset: target.value, sampling: { ...presets()[target.value] } })}
      >
        ${Object.keys(presets()).map((name) => html`<option ?selected=${name === preset}>${name}</option>`)}
      </select>
    </label>
    <div class="row">
      <button class="quiet" @click=${() => namePreset(session, values)}>Keep as a preset</button>
      ${isOwn(preset)
        ? html`<button class="quiet" @click=${() => dropPreset(preset)}>Forget "${preset}"</button>`
        : nothing}
    </div>
    ${OPTIONS.map(([name, label, min, max, step, help]) => slider({ name, label, min, max, step, help }, values, set))}
    ${slider(
      { name: "n", label: "Continuations to choose from", min: 2, max: 8, step: 1, help: "For Choices, and inside a text." },
      values,
      set,
    )}
    <label class="check"
      ><input
        type="checkbox"
        .checked=${live(values.finish_sentence)}
        @change=${({ target }) => set({ finish_sentence: target.checked })}
      />
      End with a whole sentence</label
    >
    <label class="check"
      ><input
        type="checkbox"
        .checked=${live(values.on_loop === "stop")}
        @change=${({ target }) => set({ on_loop: target.checked ? "stop" : "allow" })}
      />
      Stop when it repeats itself</label
    >
    ${[
      ["stop", "Stop before"],
      ["bad_words", "Never write"],
    ].map(
      ([name, label]) => html`<label class="field"
        >${label}
        <textarea
          rows="2"
          placeholder="One text a line; \\n is a new line"
          .value=${live(values[name])}
          @change=${({ target }) => set({ [name]: target.value })}
        ></textarea>
      </label>`,
    )}
    <label class="field"
      >Seed
      <input
        inputmode="numeric"
        pattern="[0-9]*"
        placeholder="a new one each time"
        .value=${live(String(values.seed))}
        @change=${({ target }) => set({ seed: /^\d+$/.test(target.value) ? target.value : "" })}
      />
    </label>
  `;
}

const slider = ({ name, label, min, max, step, help }, values, set) => html`
  <label class="slider" title=${help}>
    <span>${label}</span>
    <output>${values[name]}</output>
    <input
      type="range"
      min=${min}
      max=${max}
      step=${step}
      .value=${live(String(values[name]))}
      @input=${({ target }) => (target.previousElementSibling.textContent = target.value)}
      @change=${({ target }) => set({ [name]: Number(target.value) })}
    />
  </label>
`;

function namePreset(session, values) {
  const name = prompt("Name of the preset:")?.trim();
  if (!name) return;
  keepPreset(name, values);
  session.set({ preset: name });
}

const NAMES = { keywords: "Keywords", memory: "Memory", lore: "Lore", text: "Text", note: "Author's note" };

function context(session) {
  const values = { ...ABOUT, ...session.settings.value };
  const found = received.value;
  const area = (name, label, help, rows) => html`<label class="field"
    >${label}
    <textarea
      rows=${rows}
      placeholder=${help}
      .value=${live(values[name])}
      @change=${({ target }) => session.set({ [name]: target.value })}
    ></textarea>
  </label>`;
  return html`
    ${found ? fullness(found) : nothing}
    ${area("memory", "Memory", "Always at the top: who, where, in which tone", 3)}
    ${area("note", "Author's note", "A few lines before the end: what should happen next", 2)}
    <label class="field short"
      >Lines before the end
      <input
        type="number"
        min="0"
        max="50"
        .value=${live(String(values.note_lines))}
        @change=${({ target }) => session.set({ note_lines: Number(target.value) || 0 })}
      />
    </label>
    ${lore(session, values.lore)}
    ${found?.sections.length
      ? html`<label class="field"
            >Keywords
            <input
              placeholder="cats, moon"
              .value=${live(values.keywords)}
              @change=${({ target }) => session.set({ keywords: target.value })} /></label
          >${found.sections.includes("category")
            ? html`<label class="field"
                >Category
                <input .value=${live(values.category)} @change=${({ target }) => session.set({ category: target.value })} />
              </label>`
            : nothing}`
      : nothing}
    ${found?.template ? html`<p class="small soft">This model learned records: <code>${found.template}</code></p>` : nothing}
    ${found
      ? html`<h2 class="part-title">What ${chosenModel()?.id ?? "the model"} receives</h2>
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

function lore(session, entries) {
  const set = (index, changed) =>
    session.set({ lore: entries.map((one, i) => (i === index ? { ...one, ...changed } : one)) });
  return html`<h2 class="part-title">Lore</h2>
    ${entries.map(
      (entry, index) => html`<div class="lore-entry">
        <div class="row">
          <input
            aria-label="Names"
            placeholder="Names, with commas"
            .value=${live(entry.keys.join(", "))}
            @change=${({ target }) => set(index, { keys: target.value.split(",").map((key) => key.trim()).filter(Boolean) })}
          />
          <button
            class="bare"
            aria-label="Remove the entry"
            @click=${() => session.set({ lore: entries.filter((_, i) => i !== index) })}
          >
            ${icon("close")}
          </button>
        </div>
        <textarea
          rows="2"
          aria-label="What to know of them"
          placeholder="Included when a name occurs"
          .value=${live(entry.text)}
          @change=${({ target }) => set(index, { text: target.value })}
        ></textarea>
      </div>`,
    )}
    <button class="quiet" @click=${() => session.set({ lore: [...entries, { keys: [], text: "" }] })}>Add an entry</button>`;
}
