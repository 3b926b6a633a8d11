// The start of a run: send a file, see what is wrong with it, plan, start.
import { html, nothing } from "./vendor/lit.js";
import { signal } from "./vendor/signals.js";
import { asBase64, post } from "./api.js";
import { box, choice, fail, field, iconButton, say } from "./ui.js";

/**
 * The run that is being made, or null: {name, size, sent, file, options, applied, found, plan,
 * problem, busy, title}. `options` are those of finetune; `applied` the findings whose remedies
 * are among them.
 */
export const draft = signal(null);
const change = (more) => {
  if (draft.value) draft.value = { ...draft.value, ...more };
};

const REMEDIES = {
  drop_duplicates: "Leave the repeats out",
  drop_repeats: "Keep only the first of each",
  drop_near: "Keep one of each",
  fix: "Learn from them instead",
  epochs: "Read it only once",
  documents: "Cut it at blank lines",
  learn: "Learn the prompts too",
  tags: "Take the tags out",
  entities: "Decode them",
  mojibake: "Mend them",
  markers: "Take the markers out",
  detokenize: "Close the spaces",
  control: "Take them out",
  newlines: "Make them line breaks",
  news: "Take them out",
  whitespace: "Squeeze the spaces",
};
const remedy = (finding) => {
  const [[name, value]] = Object.entries(finding.change);
  return REMEDIES[name === "clean" ? value[0] : name] ?? finding.fix;
};

/** Send a file and look at it. */
export async function takeFile(file, bounds) {
  if (!file) return;
  if (bounds && file.size > bounds.largest) {
    say("This file is too large to send; train on it with penwright finetune.", { error: true });
    return;
  }
  const model = bounds?.models[0].name ?? "base";
  draft.value = { name: file.name, size: file.size, sent: 0, options: { model }, applied: [], title: "" };
  const mine = draft.value.name;
  try {
    const { id } = await post("/penwright/training/files", { name: file.name, size: file.size });
    const piece = bounds?.piece ?? 2 ** 20;
    for (let offset = 0; offset < file.size; offset += piece) {
      const data = await asBase64(file.slice(offset, offset + piece));
      const answer = await post(`/penwright/training/files/${id}`, { offset, size: file.size, data });
      if (draft.value?.name !== mine) return;
      change({ sent: Math.min(file.size, offset + piece), file: answer.file ?? undefined });
    }
    await examine();
  } catch (error) {
    draft.value = null;
    fail(error);
  }
}

let asked = 0;

/** Ask for the findings and the plan anew; only the newest answers are shown. */
async function examine() {
  const number = ++asked;
  const { file, options } = draft.value;
  change({ busy: true });
  const body = { file, options };
  const [found, plan] = await Promise.allSettled([
    post("/penwright/training/inspect", body),
    post("/penwright/training/plan", body),
  ]);
  if (number !== asked || !draft.value) return;
  const failed = [found, plan].find((one) => one.status === "rejected");
  change({
    busy: false,
    found: found.value ?? draft.value.found,
    plan: plan.value,
    problem: failed?.reason.message ?? "",
  });
}

function setOption(name, value) {
  const options = { ...draft.value.options, [name]: value };
  if (value === undefined || value === "") delete options[name];
  change({ options });
  examine().catch(fail);
}

/** Apply the remedy of a finding, or take it back. */
function toggle(finding) {
  const { applied } = draft.value;
  const isApplied = applied.some((one) => one.name === finding.name);
  const options = { ...draft.value.options };
  for (const [name, value] of Object.entries(finding.change)) {
    const others = (options[name] ?? []) instanceof Array && value instanceof Array
      ? (options[name] ?? []).filter((one) => !value.includes(one))
      : null;
    const next = isApplied ? others : others ? [...others, ...value] : value;
    if (next === null || next?.length === 0) delete options[name];
    else options[name] = next;
  }
  change({
    options,
    applied: isApplied
      ? applied.filter((one) => one.name !== finding.name)
      : [...applied, finding],
  });
  examine().catch(fail);
}

async function start() {
  const { file, options, title } = draft.value;
  change({ busy: true });
  try {
    const body = { file, options, ...(title ? { name: title } : {}) };
    const { name } = await post("/penwright/training/start", body);
    draft.value = null;
    location.hash = `train/run/${encodeURIComponent(name)}`;
  } catch (error) {
    change({ busy: false });
    fail(error);
  }
}

export function startForm(bounds) {
  const { name, size, sent, found, problem } = draft.value;
  return html`<section class="start" aria-labelledby="file-name">
    <div class="row section-head">
      <h2 id="file-name">${name}</h2>
      <span class="spacer"></span>
      ${iconButton("close", "Put this file away", () => (draft.value = null))}
    </div>
    ${found ? aboutFile(found) : waiting(sent, size, problem)}
    ${found ? html`${findings()} ${preview(found)} ${choices(bounds, found)}` : nothing}
    ${problem ? trouble(problem) : nothing}
    ${found ? planned() : nothing}
  </section>`;
}

/** A sentence of the server without the folder that a file was sent to. */
const bare = (text) => text.replace(/\S*\.uploads\/\w+\//g, "");

function trouble(problem) {
  const [, encoding] = /--encoding ([\w.-]+)/.exec(problem) ?? [];
  return html`<div class="note warn" role="alert">
    <p>${bare(problem)}</p>
    ${encoding ? html`<button @click=${() => setOption("encoding", encoding)}>Read it as ${encoding}</button>` : nothing}
  </div>`;
}

const waiting = (sent, size, problem) =>
  problem
    ? nothing
    : html`<div class="waiting" role="status">
        <progress max=${size} value=${sent} aria-label="Sending"></progress>
        <p class="small soft">${sent < size ? "Sending it to the server" : "Reading it"}</p>
      </div>`;

function aboutFile(found) {
  const parts = [
    found.files[0].format,
    ...(draft.value.options.encoding ? [draft.value.options.encoding] : []),
    plural(found.documents, "document"),
    plural(found.words, "word"),
    plural(found.tokens, "token"),
  ];
  return html`<p class="soft">${parts.join(" · ")}</p>`;
}

const plural = (count, noun) => `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;

function findings() {
  const { found, applied, busy } = draft.value;
  const names = new Set(applied.map((one) => one.name));
  const open = found.findings.filter((one) => !names.has(one.name));
  if (!open.length && !applied.length)
    return html`<p class="note good">Nothing looks wrong with it.</p>`;
  return html`<ul class="findings" aria-label="Findings" aria-busy=${busy}>
    ${open.map((one) => showFinding(one, false))} ${applied.map((one) => showFinding(one, true))}
  </ul>`;
}

function showFinding(finding, isApplied) {
  const can = Object.keys(finding.change).length > 0;
  return html`<li class=${isApplied ? "mended" : ""}>
    <div>
      <p>${bare(finding.says)}</p>
      ${!can && finding.fix ? html`<p class="small soft">${finding.fix}</p>` : nothing}
      ${finding.places.length && !isApplied
        ? html`<details class="small">
            <summary>Where</summary>
            <ul class="places">
              ${finding.places.map((place) => html`<li>${bare(place)}</li>`)}
            </ul>
          </details>`
        : nothing}
    </div>
    ${can
      ? html`<button
          aria-pressed=${isApplied}
          aria-label="${remedy(finding)}: ${finding.name}"
          @click=${() => toggle(finding)}
        >
          ${remedy(finding)}
        </button>`
      : nothing}
  </li>`;
}

const preview = (found) => html`<details class="preview">
  <summary>How the model will see it</summary>
  ${found.windows.map(
    (row, number) => html`<div class="window" tabindex="0" role="region" aria-label="Row ${number + 1}">
      ${row.documents.map(
        (pieces) => html`<p>${pieces.map(([text, learned]) => html`<span class=${learned ? "" : "soft"}>${text}</span>`)}</p>`,
      )}
    </div>`,
  )}
</details>`;

const MODEL_NOTES = {
  base: (one) => `${one.name}, small and quick`,
  gpt2: (one) => `GPT-2 ${one.name}${one.here ? "" : ", downloaded once"}`,
  run: (one) => `${one.name}, a run`,
};

function choices(bounds, found) {
  const { options, title } = draft.value;
  const columns = found.files.flatMap((file) => file.columns ?? []);
  return html`<div class="choices">
    ${field(
      "Model to start from",
      choice(options.model, (bounds?.models ?? []).map((one) => [one.name, MODEL_NOTES[one.kind](one)]), (name) => setOption("model", name)),
    )}
    ${field("Name of the run", box(title, (text) => change({ title: text.trim().replace(/[^\w.-]+/g, "-") }), { hint: "after the file" }))}
    ${columns.length
      ? field(
          "Column with the text",
          choice(
            options.text_column ?? "",
            [["", `as found: ${found.files[0].learn.join(", ") || "all"}`], ...columns.map((name) => [name, name])],
            (name) => setOption("text_column", name),
          ),
        )
      : nothing}
    <details class="more">
      <summary>More</summary>
      <div class="choices">
        ${number("epochs", "Times it reads the text", "as the text needs", { min: 0.1, step: "any" })}
        ${number("learning_rate", "Learning rate", "as the model needs", { min: 0, max: 1, step: "any" })}
        ${number("max_length", "Tokens at a time", "what the model can", { min: 2, step: 1 })}
        ${number("held_out", "Share kept to measure on", "a tenth, or less", { min: 0, max: 0.9, step: "any" })}
      </div>
    </details>
  </div>`;
}

// Without `live`: an answer of the server that comes while a number is typed leaves it alone.
const number = (name, label, usual, bounds) => field(
  label,
  html`<input
    type="number" placeholder=${usual} min=${bounds.min} max=${bounds.max ?? nothing} step=${bounds.step}
    .value=${draft.value.options[name] ?? ""}
    @change=${({ target }) =>
      target.reportValidity() && setOption(name, target.value === "" ? undefined : target.valueAsNumber)}
  />`,
);

function planned() {
  const { plan, busy, problem } = draft.value;
  const taken = plan?.options.find((one) => one.name === plan.taken);
  return html`<div class="planned" aria-busy=${!!busy}>
    <p role="status">
      ${taken
        ? html`About <strong>${duration(taken.seconds)}</strong> for ${plural(plan.steps, "step")}. It
            takes ${bytes(taken.memory.total)} of the ${bytes(plan.budget)} that are free.`
        : problem ? nothing : (plan?.says ?? "Planning")}
    </p>
    <button class="primary" ?disabled=${busy || !taken} @click=${start}>Start training</button>
  </div>`;
}

export const bytes = (count) => (count >= 1e9 ? `${(count / 1e9).toFixed(1)} GB` : `${Math.round(count / 1e6)} MB`);

/** About so long: 40 s, 12 min, 3 h 20 min, 2 days. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${(hours / 24).toFixed(1)} days`;
}
