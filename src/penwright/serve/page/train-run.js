// One run: its progress, curves, samples and end; stop, resume, write with it.
import { html, nothing } from "./vendor/lit.js";
import { signal } from "./vendor/signals.js";
import { get, post } from "./api.js";
import { chart, short, smooth } from "./chart.js";
import { loadModels, model } from "./shell.js";
import { bytes, duration } from "./train-start.js";
import { fail, icon, iconButton } from "./ui.js";

export const STATUS = {
  starting: "Starting",
  running: "Training",
  finished: "Finished",
  interrupted: "Stopped",
  failed: "Failed",
};
const MEASURED = 50; // steps that the time left is reckoned from
const [SECOND, MINUTE] = [1000, 60_000];

/** Pixels that a chart may take. */
export const width = signal(0);
/** The run that is watched: the newest answer of the server, with all metrics and samples so far. */
const seen = signal(null);
/** The step whose samples are shown; null is the newest. */
const chosen = signal(null);
const asking = signal("");
let timer = 0;
let watched = "";

export const isBusy = (status) => status === "starting" || status === "running";
const path = (name) => `/penwright/training/runs/${encodeURIComponent(name)}`;

/** Follow a run until `leaveRun`; `ended` is called when it comes to an end. */
export function watch(name, ended) {
  leaveRun();
  watched = name;
  poll(name, ended);
}

export function leaveRun() {
  clearTimeout(timer);
  watched = "";
  seen.value = chosen.value = null;
  asking.value = "";
}

async function poll(name, ended) {
  clearTimeout(timer);
  const before = seen.value;
  let wait = SECOND;
  try {
    const last = before?.samples.at(-1)?.step ?? -1;
    const news = await get(`${path(name)}?offset=${before?.offset ?? 0}&step=${last}`);
    if (watched !== name) return;
    seen.value = take(before, news);
    if (before && isBusy(before.status) && !isBusy(news.status)) ended();
    if (!isBusy(news.status)) {
      wait = MINUTE;
      asking.value = "";
    }
    if (document.hidden) wait = 5 * SECOND;
    if (news.more) wait = 0;
  } catch (error) {
    if (watched !== name) return;
    if (error.status === 404) return void (seen.value = { missing: true });
    if (error.status !== 0) fail(error);
    wait = 3 * SECOND;
  }
  timer = setTimeout(() => poll(name, ended), wait);
}

/** Join what is new to what was there; a resumed run writes steps again. */
function take(before, news) {
  const steps = news.again ? [] : [...(before?.steps ?? [])];
  const evals = news.again ? [] : [...(before?.evals ?? [])];
  for (const line of news.metrics ?? []) {
    const list = line.kind === "eval" ? evals : steps;
    while (list.length && list.at(-1).step > line.step - (line.kind !== "eval")) list.pop();
    list.push(line);
  }
  const first = news.samples?.[0]?.step ?? Infinity;
  const kept = (before?.samples ?? []).filter((one) => one.step < first);
  return { ...news, steps, evals, samples: [...kept, ...(news.samples ?? [])] };
}

async function ask(what, body = {}) {
  const name = watched;
  asking.value = what;
  try {
    await post(`${path(name)}/${what}`, body);
    if (what === "load") {
      await loadModels();
      model.value = name;
      location.hash = "write";
    }
  } catch (error) {
    fail(error);
    asking.value = "";
  }
  if (what !== "stop") asking.value = "";
  if (watched === name) poll(name, () => {});
}

export function runPage(name) {
  const run = seen.value;
  return html`<div class="training">
    <p class="back"><a href="#train">All runs</a></p>
    <h1>${name}</h1>
    ${!run ? nothing : run.missing ? html`<p>There is no run of this name.</p>` : body(run)}
  </div>`;
}

function body(run) {
  return html`
    ${progress(run)} ${actions(run)} ${trouble(run)}
    ${run.plan ? html`${figures(run)} ${curves(run)} ${samples(run)}` : nothing}
  `;
}

function progress(run) {
  const step = run.steps.at(-1)?.step ?? 0;
  const total = run.plan?.steps ?? 0;
  const left = run.status === "running" ? timeLeft(run) : null;
  const parts = [
    STATUS[run.status],
    total ? `step ${step.toLocaleString()} of ${total.toLocaleString()}` : "",
    left === null ? "" : `${duration(left)} left`,
  ];
  return html`<div class="progress">
    <p role="status">
      <span class="status ${run.status}">${asking.value === "stop" && isBusy(run.status) ? "Stopping" : parts[0]}</span>
      ${parts.slice(1).filter(Boolean).map((part) => html`<span class="soft"> · ${part}</span>`)}
    </p>
    <progress
      max=${total || 1} value=${run.status === "starting" && !total ? nothing : step}
      aria-label="Steps taken"
    ></progress>
    ${run.status === "starting" && run.log
      ? html`<p class="small soft latest">${run.log.trim().split("\n").at(-1)}</p>`
      : nothing}
  </div>`;
}

function timeLeft({ steps, plan }) {
  const recent = steps.slice(-MEASURED);
  const [first, last] = [recent[0], recent.at(-1)];
  if (recent.length < 2) return null;
  return ((last.seconds - first.seconds) / (last.step - first.step)) * (plan.steps - last.step);
}

function actions(run) {
  const busy = isBusy(run.status);
  const canResume = ["interrupted", "failed"].includes(run.status) && run.plan;
  return html`<div class="row actions">
    ${busy
      ? html`<button ?disabled=${asking.value !== ""} @click=${() => ask("stop")}>
          ${icon("stop")} Stop and keep what it learned
        </button>`
      : nothing}
    ${canResume
      ? html`<button class="primary" ?disabled=${asking.value !== ""} @click=${() => ask("resume")}>
          ${icon("retry")} Resume
        </button>`
      : nothing}
    ${run.can_write && !busy
      ? html`<button
          class=${run.status === "finished" ? "primary" : ""}
          ?disabled=${asking.value !== ""}
          @click=${() => ask("load")}
        >
          ${icon("write")} Write with it
        </button>`
      : nothing}
    ${run.report
      ? html`<a class="button" href=${run.report} target="_blank" rel="noopener">Report</a>`
      : nothing}
  </div>`;
}

const trouble = ({ status, error, log }) =>
  status !== "failed"
    ? nothing
    : html`<div class="note warn" role="alert">
        <p>${error?.message ?? "The run could not begin."} ${error?.fix}</p>
        ${log ? html`<pre tabindex="0">${log.trim()}</pre>` : nothing}
      </div>`;

function figures({ steps, evals, result, model: from, data, status }) {
  const [first, last] = [evals[0], evals.at(-1)];
  const best = evals.reduce((a, b) => (!a || b.loss < a.loss ? b : a), null);
  const now = steps.at(-1);
  const seconds = result?.seconds ?? now?.seconds;
  const entries = [
    ["Perplexity before", first && first.step === 0 ? first.perplexity.toFixed(1) : null],
    [status === "finished" ? "Perplexity after" : "Perplexity now", last && last.step ? last.perplexity.toFixed(1) : null],
    ["Best after step", best && best.step ? best.step.toLocaleString() : null],
    ["Time", seconds ? duration(seconds) : null],
    ["Tokens a second", now ? short(now.tokens_per_s) : null],
    ["Memory", now ? bytes(now.memory_mb * 1e6) : null],
    ["Learns from", `${data.documents === 1 ? "" : `${data.documents.toLocaleString()} documents, `}${short(data.tokens)} tokens`],
    ["Began as", from.name.replace(/^\.?\/?runs\//, "")],
  ];
  return html`<dl class="figures">
    ${entries.filter(([, value]) => value).map(
      ([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`,
    )}
  </dl>`;
}

function curves({ steps, evals, plan }) {
  const points = (column) =>
    steps.filter((one) => Number.isFinite(one[column])).map((one) => [one.step, one[column]]);
  const loss = points("loss");
  // The last measurement is of all held-out text, those before of a part: not on one line with them.
  const held = evals.filter((one, i) => one.step !== evals[i - 1]?.step).map((one) => [one.step, one.loss]);
  if (loss.length < 2) return nothing;
  const many = loss.length >= 20;
  const summary = [
    `Training loss went from ${loss[0][1].toFixed(2)} to ${smooth(loss).at(-1)[1].toFixed(2)}.`,
    held.length ? `Held-out loss is ${evals.at(-1).loss.toFixed(2)}.` : "",
  ];
  const lines = [
    { name: "training, each step", kind: many ? "raw" : "smooth", points: loss },
    { name: "training, smoothed", kind: "smooth", points: many ? smooth(loss) : [] },
    { name: "held-out", kind: "held", points: held, marked: true },
  ];
  const half = width.value > 560 ? (width.value - 32) / 2 : width.value;
  const small = (title, column, words) => {
    const found = points(column);
    if (found.length < 2) return nothing;
    return chart({
      title, lines: [{ name: title.toLowerCase(), kind: "smooth", points: found }],
      summary: words(found.at(-1)[1]), width: half, height: 130, from: 0,
    });
  };
  return html`<section aria-labelledby="curves">
    <h2 class="hidden" id="curves">Curves</h2>
    ${chart({ title: "Loss", lines, summary: summary.join(" "), width: width.value, height: 280, legend: true })}
    <div class="small-charts">
      ${small("Tokens a second", "tokens_per_s", (value) => `${short(value)} at the last step.`)}
      ${small("Memory, MB", "memory_mb", (value) => `${short(value)} MB at the last step.`)}
    </div>
    ${held.length ? measurements(evals) : nothing}
  </section>`;
}

const measurements = (evals) => html`<details class="small">
  <summary>The measurements as a table</summary>
  <table>
    <thead>
      <tr><th scope="col">step</th><th scope="col">held-out loss</th><th scope="col">perplexity</th></tr>
    </thead>
    <tbody>
      ${evals.slice(-200).map(
        (one) => html`<tr>
          <th scope="row">${one.step.toLocaleString()}</th>
          <td>${one.loss.toFixed(4)}</td>
          <td>${one.perplexity.toFixed(2)}</td>
        </tr>`,
      )}
    </tbody>
  </table>
</details>`;

function samples({ samples: sets }) {
  if (!sets.length) return nothing;
  const at = chosen.value === null ? sets.length - 1 : Math.max(0, sets.findIndex((one) => one.step === chosen.value));
  const set = sets[at];
  const go = (to) => (chosen.value = to === sets.length - 1 ? null : sets[to].step);
  return html`<section aria-labelledby="samples">
    <div class="row section-head">
      <h2 id="samples">What it writes</h2>
      <span class="spacer"></span>
      ${iconButton("left", "Earlier samples", () => go(at - 1), { disabled: at === 0 })}
      <span class="soft small" role="status">${set.step ? `after step ${set.step.toLocaleString()}` : "before training"}</span>
      ${iconButton("right", "Later samples", () => go(at + 1), { disabled: at === sets.length - 1 })}
    </div>
    ${set.texts.map(
      (one) => html`<blockquote class="sample"><span class="soft">${one.prompt}</span>${one.text}</blockquote>`,
    )}
  </section>`;
}
