// The Train view: a file to train on, the runs, one run, or two runs side by side.
import { html, nothing } from "./vendor/lit.js";
import { signal } from "./vendor/signals.js";
import { get } from "./api.js";
import { compare, leaveCompare } from "./train-compare.js";
import { draft, startForm, takeFile } from "./train-start.js";
import { isBusy, leaveRun, runPage, STATUS, watch, width } from "./train-run.js";
import { fail, mount } from "./ui.js";

/** The models to start from, the runs, and the bounds of a file. */
export const overview = signal(null);
/** What the address names after #train: [], ["run", NAME] or ["compare"]. */
const place = signal([]);

const LOOK_AGAIN = 5000;
let timer = 0;

export async function refresh() {
  clearTimeout(timer);
  try {
    overview.value = await get("/penwright/training");
  } catch (error) {
    fail(error);
  }
  // Only the list of runs is kept up to date here; a run's own page asks for more.
  if (location.hash === "#train" && overview.value?.runs.some((run) => isBusy(run.status)))
    timer = setTimeout(refresh, LOOK_AGAIN);
}

function follow() {
  const [view, ...rest] = location.hash.slice(1).split("/").map(decodeURIComponent);
  if (view !== "train") return;
  place.value = rest;
  leaveRun();
  if (rest[0] === "run") watch(rest[1], refresh);
  else refresh();
}

export function show(element) {
  const sizes = new ResizeObserver(([entry]) => {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    width.value = Math.floor(Math.min(entry.contentRect.width, 48.5 * rem) - 2.5 * rem);
  });
  sizes.observe(element);
  addEventListener("hashchange", follow);
  follow();
  const over = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    element.classList.toggle("dropping", event.type === "dragover");
    const [file] = event.dataTransfer.files ?? [];
    if (event.type !== "drop" || !file) return;
    location.hash = "train";
    takeFile(file, overview.value);
  };
  for (const type of ["dragover", "dragleave", "drop"]) element.addEventListener(type, over);
  const end = mount(element, page);
  return () => {
    removeEventListener("hashchange", follow);
    clearTimeout(timer);
    sizes.disconnect();
    leaveRun();
    leaveCompare();
    end();
  };
}

function page() {
  if (place.value[0] === "run") return runPage(place.value[1]);
  if (place.value[0] === "compare") return compare(overview.value);
  return html`<div class="training">
    <h1>Train</h1>
    ${draft.value ? startForm(overview.value) : dropZone()}
    ${overview.value ? runList(overview.value) : nothing}
  </div>`;
}

const dropZone = () => html`<section class="drop" aria-label="A file to train on">
  <p class="lead">Drop a text here, and a model learns to write like it.</p>
  <label class="button primary">
    <input
      class="hidden" type="file"
      @change=${(event) => takeFile(event.target.files[0], overview.value)}
      @keydown=${(event) => event.key === "Enter" && event.target.click()}
    />
    Choose a file
  </label>
  <p class="small soft">
    Plain text, Markdown, Word, books, tables, chats. It stays on this machine.
  </p>
</section>`;

function runList({ runs, damaged }) {
  if (!runs.length && !damaged.length) return nothing;
  const finished = runs.filter((run) => run.status === "finished");
  return html`<section aria-labelledby="runs">
    <div class="row section-head">
      <h2 id="runs">Runs</h2>
      <span class="spacer"></span>
      ${finished.length > 1 ? html`<a href="#train/compare">Compare two blindly</a>` : nothing}
    </div>
    ${damaged.map((sentence) => html`<p class="note warn">${sentence}</p>`)}
    <ul class="runs">
      ${runs.map(
        (run) => html`<li>
          <a href="#train/run/${encodeURIComponent(run.name)}">
            <span class="run-name">${run.name}</span>
            <span class="status ${run.status}">${STATUS[run.status]}</span>
            <span class="soft small">${aboutRun(run)}</span>
          </a>
        </li>`,
      )}
    </ul>
  </section>`;
}

function aboutRun(run) {
  if (!run.model) return "";
  const parts = [`from ${run.model.replace(/^\.?\/?runs\//, "")}`];
  if (run.perplexity_before && run.perplexity_after)
    parts.push(`perplexity ${run.perplexity_before.toFixed(1)} to ${run.perplexity_after.toFixed(1)}`);
  else parts.push(`step ${run.step.toLocaleString()} of ${run.steps.toLocaleString()}`);
  parts.push(new Date(run.created).toLocaleDateString(undefined, { day: "numeric", month: "short" }));
  return parts.join(" · ");
}
