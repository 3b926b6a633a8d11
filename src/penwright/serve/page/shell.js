// The frame around the views: the header, the choice of model and theme, the sheet of shortcuts.
import { effect, signal } from "./vendor/signals.js";
import { html, live } from "./vendor/lit.js";
import { connection, get } from "./api.js";
import { iconButton, keyName, openDialog, stored } from "./ui.js";

export const VIEWS = {
  write: { title: "Write", load: () => import("./write.js") },
  train: { title: "Train", load: () => import("./train.js") },
  about: { title: "About", load: () => import("./about.js") },
};

/** The name of the view that is shown. */
export const view = signal("write");
/** The models of the server, as /v1/models lists them. */
export const models = signal([]);
/** The id of the model that writes. */
export const model = stored("model", "");

export async function loadModels() {
  models.value = (await get("/v1/models")).data;
  if (!models.value.some((one) => one.id === model.value)) model.value = models.value[0].id;
}

/** The icon of each theme, its name, and the next one. */
const THEMES = { auto: ["auto", "as the system", "light"], light: ["sun", "light", "dark"], dark: ["moon", "dark", "auto"] };
const theme = stored("theme", "auto");
effect(() => (document.documentElement.dataset.theme = theme.value));

/** Shortcuts by group, [keys, what they do]; the views add theirs. */
export const shortcuts = {
  Everywhere: [
    ["Alt-1", "Write"],
    ["Alt-2", "Train"],
    ["Alt-3", "About"],
    ["F1", "This list"],
  ],
};

export function showShortcuts() {
  openDialog(
    "Keyboard shortcuts",
    () => html`<div class="shortcuts">
      ${Object.entries(shortcuts).reverse().map(
        ([group, entries]) => html`<section>
          <h3>${group}</h3>
          <dl>
            ${entries.map(
              ([keys, what]) => html`<div>
                <dt>${what}</dt>
                <dd><kbd>${keyName(keys)}</kbd></dd>
              </div>`,
            )}
          </dl>
        </section>`,
      )}
    </div>`,
  );
}

export function header() {
  const state = connection.value;
  const [image, name, next] = THEMES[theme.value];
  return html`
    <a class="wordmark" href="#write">Penwright</a>
    <nav aria-label="Views">
      ${Object.entries(VIEWS).map(
        ([name, { title }]) => html`<a
          href="#${name}"
          aria-current=${view.value === name ? "page" : "false"}
          >${title}</a
        >`,
      )}
    </nav>
    <span class="spacer"></span>
    <span class="offline" role="status"
      >${state === true
        ? ""
        : state === "refused"
          ? "The server was restarted: open the address that it prints."
          : "The server does not answer. Your text is kept in this browser."}</span
    >
    <label class="model-picker">
      <span class="hidden">Model</span>
      <select
        .value=${live(model.value)}
        @change=${(event) => (model.value = event.target.value)}
      >
        ${models.value.map(
          (one) => html`<option value=${one.id} ?selected=${one.id === model.value}>
            ${one.id}
          </option>`,
        )}
      </select>
    </label>
    ${iconButton(image, `Theme: ${name}. Change it`, () => (theme.value = next))}
    ${iconButton("keyboard", "Keyboard shortcuts", showShortcuts, { more: "wide-only", key: "F1" })}
  `;
}
