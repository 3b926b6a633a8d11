// Small parts that every view uses: mounting, icons, messages, dialogs, stored choices.
import { effect, signal } from "./vendor/signals.js";
import { html, live, nothing, render, svg } from "./vendor/lit.js";

/** Show a template in an element, again whenever a signal that it reads changes. */
export const mount = (element, template) => effect(() => render(template(), element));

/** A signal whose value this browser keeps, for choices of how things look. */
export function stored(name, initial) {
  const key = `penwright-${name}`;
  let value = initial;
  try {
    value = JSON.parse(localStorage.getItem(key)) ?? initial;
  } catch {
    // An unreadable choice is made again.
  }
  const kept = signal(value);
  effect(() => localStorage.setItem(key, JSON.stringify(kept.value)));
  return kept;
}

const PATHS = {
  menu: "M4 6h16M4 12h16M4 18h16",
  panel: "M4 5h16v14H4zM15 5v14",
  undo: "M9 7 4 12l5 5M4 12h11a5 5 0 0 1 0 10h-2",
  redo: "m15 7 5 5-5 5M20 12H9a5 5 0 0 0 0 10h2",
  retry: "M20 11a8 8 0 1 0-2.3 6.3M20 5v6h-6",
  stop: "M7 7h10v10H7z",
  write: "M5 19 16.5 5.5c1.6.3 2.7 1.4 3 3L8 20l-4 .5z",
  choices: "M4 6h16M4 12h10M4 18h13",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6 19 19M19 5l-1.4 1.4M6.4 17.6 5 19",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  auto: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 3v18M12 7h5M12 12h8.5M12 17h5",
  close: "m6 6 12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  compare: "M4 5h6v14H4zM14 5h6v14h-6z",
  keyboard: "M3 6h18v12H3zM7 10h.01M11 10h.01M15 10h.01M18 10h.01M8 14h8",
  sentence: "M4 12h12M20 12h.01",
  keep: "M6 4h12v17l-6-4-6 4z",
  more: "M5 12a.5.5 0 1 0 .1 0zM12 12a.5.5 0 1 0 .1 0zM19 12a.5.5 0 1 0 .1 0z",
  up: "m6 15 6-6 6 6",
  down: "m6 9 6 6 6-6",
  left: "m15 6-6 6 6 6",
  right: "m9 6 6 6-6 6",
};

/** An icon, for the eye only: the control around it has a name. */
export const icon = (name) =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">${svg`<path d=${PATHS[name]} />`}</svg>`;

/** A button of an icon alone, named by `label`; `more` are classes, `key` its shortcut. */
export const iconButton = (name, label, run, { more = "", key = "", disabled = false } = {}) => html`<button
  class="bare ${more}"
  aria-label=${label}
  title=${key ? `${label} (${keyName(key)})` : label}
  ?disabled=${disabled}
  @click=${run}
>
  ${icon(name)}
</button>`;

/** A control under its label. */
export const field = (label, control, name = "") =>
  html`<label class="field ${name}">${label} ${control}</label>`;

/** A box for text, of one line or of `rows`; `set` gets what was typed. */
export const box = (value, set, { hint = "", rows = 0, name = nothing } = {}) => {
  // Not live: a redraw leaves alone what is being typed. What set() refuses is put back.
  const change = ({ target }) => {
    const text = target.value;
    target.value = value;
    set(text);
  };
  return rows
    ? html`<textarea rows=${rows} placeholder=${hint} aria-label=${name} .value=${value} @change=${change}></textarea>`
    : html`<input placeholder=${hint} aria-label=${name} .value=${value} @change=${change} />`;
};

/** A choice of options, [value, what is shown]. */
export const choice = (value, options, set) => html`<select
  .value=${live(value)}
  @change=${({ target }) => set(target.value)}
>
  ${options.map(([one, shown]) => html`<option value=${one} ?selected=${one === value}>${shown}</option>`)}
</select>`;

export const tick = (label, checked, set) => html`<label class="check">
  <input type="checkbox" .checked=${live(checked)} @change=${({ target }) => set(target.checked)} />
  ${label}
</label>`;

const messages = signal([]);
let lastMessage = 0;

/** Show a message at the bottom; `action` is {label, run}. Errors stay until they are closed. */
export function say(text, { error = false, action = null } = {}) {
  const message = { id: ++lastMessage, text, error, action };
  messages.value = [...messages.value.filter((one) => one.text !== text), message].slice(-3);
  if (!error) setTimeout(() => unsay(message), action ? 12000 : 5000);
}

const unsay = (message) => {
  messages.value = messages.value.filter((one) => one.id !== message.id);
};

/** Show what went wrong; a request that was cancelled on purpose is nothing to show. */
export function fail(error) {
  if (error.name === "AbortError") return;
  say(error.message, { error: true });
  if (error.status === undefined) console.error(error);
}

const dialog = signal(null);

/** Show a dialog; `content` is a function that returns a template. */
export const openDialog = (title, content) => (dialog.value = { title, content });

/** Close the dialog: the focus returns to where it was. */
export const closeDialog = () => document.querySelector("dialog")?.close();

export function overlay() {
  return html`
    <div class="messages" role="status">
      ${messages.value.map(
        (one) => html`<div class="message ${one.error ? "error" : ""}">
          <span>${one.text}</span>
          ${one.action
            ? html`<button class="quiet" @click=${() => (unsay(one), one.action.run())}>
                ${one.action.label}
              </button>`
            : nothing}
          ${iconButton("close", "Close the message", () => unsay(one))}
        </div>`,
      )}
    </div>
    ${dialog.value ? showDialog(dialog.value) : nothing}
  `;
}

function showDialog({ title, content }) {
  return html`<dialog
    aria-labelledby="dialog-title"
    @close=${() => (dialog.value = null)}
    @click=${(event) => event.target.tagName === "DIALOG" && closeDialog()}
  >
    <div class="dialog-body">
      <div class="row">
        <h2 id="dialog-title">${title}</h2>
        ${iconButton("close", "Close", closeDialog)}
      </div>
      ${content()}
    </div>
  </dialog>`;
}

/** Open the dialog that was just rendered: a modal one keeps the keyboard inside. */
export function showModals() {
  document.querySelector("dialog:not([open])")?.showModal();
}

export const mac = /Mac|iPhone|iPad/.test(navigator.platform);
/** The name of a shortcut such as Mod-Enter, as this machine's keyboard labels it. */
export const keyName = (keys) =>
  keys
    .replace(/Arrow|Page|ape$/, (part) => ({ Arrow: "", Page: "Pg", ape: "" })[part])
    .replace(/\b[a-z]$/, (letter) => letter.toUpperCase())
    .replace("Mod", mac ? "⌘" : "Ctrl")
    .replace("Alt", mac ? "⌥" : "Alt")
    .replace("Shift", mac ? "⇧" : "Shift")
    .replaceAll("-", mac ? "" : "+");

/** Give the browser a file to save. */
export function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text]));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
