// The About view: the models that are loaded, their cards, and what their text is.
import { html, nothing } from "./vendor/lit.js";
import { signal } from "./vendor/signals.js";
import { get, post } from "./api.js";
import { short } from "./chart.js";
import { loadModels, model, models } from "./shell.js";
import { fail, mount, say } from "./ui.js";

/** What the server says of each model, by name. */
const found = signal({});

export function show(element) {
  found.value = {};
  return mount(element, about);
}

const path = (name) => `/penwright/models/${encodeURIComponent(name)}`;

function look(name) {
  if (name in found.value) return;
  const put = (told) => (found.value = { ...found.value, [name]: told });
  put(null);
  get(path(name)).then(put).catch(fail);
}

const unload = (name) =>
  post(`${path(name)}/unload`, {})
    .then(loadModels)
    .then(() => say(`${name} was unloaded. Its files stay.`))
    .catch(fail);

function about() {
  for (const one of models.value) queueMicrotask(() => look(one.id));
  const first = Object.values(found.value).find(Boolean);
  return html`<article class="reading">
    <h1>About</h1>
    <section aria-labelledby="machine-written">
      <h2 id="machine-written">Machine-written</h2>
      <p class="statement">${first ? markdown(first.statement) : "\u00a0"}</p>
      <p>Every file of text that Penwright makes is labelled so, with the model and its settings.</p>
    </section>
    <section aria-labelledby="models">
      <h2 id="models">Models</h2>
      ${models.value.map((one) => card(one, found.value[one.id]))}
    </section>
    <section aria-labelledby="your-text">
      <h2 id="your-text">Your text</h2>
      <p>
        Documents and runs stay on this machine, in the folders that the server was given. Nothing
        is sent to the internet, and nothing that you or a model wrote is deleted: undo, retry and
        pruning only hide it.
      </p>
    </section>
    ${first ? html`<p class="small soft version">Penwright ${first.version}</p>` : nothing}
  </article>`;
}

const card = (one, told) => html`<details class="card" ?open=${one.id === model.value}>
  <summary>
    <span>${one.id}</span>
    <span class="soft small">${told ? `${short(told.parameters)} parameters` : ""}</span>
  </summary>
  ${told
    ? html`<dl class="facts">
          <div><dt>Parameters</dt><dd>${told.parameters.toLocaleString()}</dd></div>
          <div><dt>Reads at a time</dt><dd>${told.context.toLocaleString()} tokens</dd></div>
          <div><dt>Weights</dt><dd>${told.weights}</dd></div>
        </dl>
        <div class="card-text">
          ${told.card ? markdown(told.card) : html`<p>This model came without a card.</p>`}
        </div>
        ${models.value.length > 1
          ? html`<button @click=${() => unload(one.id)}>Unload ${one.id}</button>`
          : nothing}`
    : nothing}
</details>`;

/** The little Markdown of cards as templates: text nodes only, so that nothing becomes markup. */
function markdown(text) {
  const lines = text.replace(/\r\n?/g, "\n").replace(/^---\n[\s\S]*?\n---\n/, "").split("\n");
  const blocks = [];
  while (lines.length) {
    const take = (test) => {
      const found = [];
      while (lines.length && test(lines[0])) found.push(lines.shift());
      return found;
    };
    if (/^```/.test(lines[0])) {
      lines.shift();
      const code = take((line) => !/^```/.test(line));
      lines.shift();
      blocks.push(html`<pre tabindex="0"><code>${code.join("\n")}</code></pre>`);
    } else if (/^#/.test(lines[0])) {
      const [, marks, title] = lines.shift().match(/^(#+)\s*(.*)/);
      blocks.push(marks.length < 2 ? html`<h3 class="card-title">${title}</h3>` : html`<h4>${title}</h4>`);
    } else if (/^[-*] /.test(lines[0])) {
      blocks.push(
        html`<ul>${take((line) => /^[-*] /.test(line)).map((line) => html`<li>${inline(line.slice(2))}</li>`)}</ul>`,
      );
    } else if (/^\|/.test(lines[0])) {
      blocks.push(table(take((line) => /^\|/.test(line))));
    } else if (lines[0].trim() === "") {
      lines.shift();
    } else {
      const [first, ...rest] = [lines.shift(), ...take((line) => /^[^#|\-*`\s]/.test(line))];
      blocks.push(html`<p>${inline([first, ...rest].join(" "))}</p>`);
    }
  }
  return blocks;
}

function table(lines) {
  const cells = (line) => line.replace(/^\||\|\s*$/g, "").split(/(?<!\\)\|/).map((cell) => cell.replace("\\|", "|").trim());
  const [head, , ...rows] = lines.map(cells);
  return html`<table>
    <thead><tr>${head.map((cell) => html`<th scope="col">${inline(cell)}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${inline(cell)}</td>`)}</tr>`)}</tbody>
  </table>`;
}

const inline = (text) =>
  text.split(/(\*\*[^*]+\*\*|`[^`]+`)/).map((part) => {
    if (/^\*\*.+\*\*$/.test(part)) return html`<strong>${part.slice(2, -2)}</strong>`;
    if (/^`.+`$/.test(part)) return html`<code>${part.slice(1, -1)}</code>`;
    return part;
  });
