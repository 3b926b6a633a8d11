// Two models side by side, their names hidden until one text is chosen.
import { html, nothing } from "./vendor/lit.js";
import { signal } from "./vendor/signals.js";
import { get, post } from "./api.js";
import { loadModels, models } from "./shell.js";
import { box, choice, fail, field } from "./ui.js";

const VOTES = "/penwright/training/votes";
const TOKENS = 160;
const LIMITS = { temperature: 0.9, top_p: 0.95 };

/** The two that are compared, and where the texts begin. */
const pair = signal({ a: "", b: "", prompt: "" });
/** The texts of this turn, [{who: "a" or "b", text}], in the order they are shown; or null. */
const turn = signal(null);
const tally = signal(null);
const busy = signal(false);

export function leaveCompare() {
  turn.value = null;
  busy.value = false;
}

/** The names to choose from: what is loaded, and the finished runs. */
function names(overview) {
  const runs = (overview?.runs ?? []).filter((run) => run.status === "finished");
  return [...new Set([...models.value.map((one) => one.id), ...runs.map((run) => run.name)])];
}

async function load(name) {
  if (models.value.some((one) => one.id === name)) return;
  await post(`/penwright/training/runs/${encodeURIComponent(name)}/load`, {});
  await loadModels();
}

async function write() {
  const { a, b, prompt } = pair.value;
  const seed = crypto.getRandomValues(new Uint32Array(1))[0];
  busy.value = true;
  turn.value = null;
  try {
    for (const name of [a, b]) await load(name);
    const body = (model) => ({ model, prompt, max_tokens: TOKENS, seed, ...LIMITS });
    const texts = await Promise.all([a, b].map((name) => post("/v1/completions", body(name))));
    const sides = texts.map((one, at) => ({ who: "ab"[at], text: one.choices[0].text }));
    turn.value = { sides: seed % 2 ? sides : sides.reverse(), winner: null };
  } catch (error) {
    fail(error);
  }
  busy.value = false;
}

const count = (answer) => answer.then((found) => (tally.value = found)).catch(fail);

function vote(winner) {
  const { a, b, prompt } = pair.value;
  const { sides } = turn.value;
  const texts = Object.fromEntries(sides.map(({ who, text }) => [who, text]));
  turn.value = { ...turn.value, winner };
  count(post(VOTES, { a, b, prompt, winner, texts }));
}

function choose(change) {
  pair.value = { ...pair.value, ...change };
  turn.value = tally.value = null;
  const { a, b } = pair.value;
  if (a && b && a !== b) count(get(`${VOTES}?${new URLSearchParams({ a, b })}`));
}

export function compare(overview) {
  const known = names(overview);
  const { a, b, prompt } = pair.value;
  const ready = a && b && a !== b && !busy.value;
  return html`<div class="training">
    <p class="back"><a href="#train">All runs</a></p>
    <h1>Which one is better?</h1>
    <p class="lead">Both continue the same words. You learn who wrote what after you have chosen.</p>
    <div class="choices">
      ${picker("One", "a", known)} ${picker("The other", "b", known)}
    </div>
    ${field("Beginning", box(prompt, (text) => (pair.value = { ...pair.value, prompt: text }), { hint: "Once, or nothing at all", rows: 2 }))}
    <div class="row actions">
      <button class=${turn.value ? "" : "primary"} ?disabled=${!ready} @click=${write}>
        ${busy.value ? "Writing" : turn.value ? "Write again" : "Write"}
      </button>
      ${a && a === b ? html`<span class="soft">Choose two different ones.</span>` : nothing}
    </div>
    ${turn.value ? sides(turn.value) : nothing}
    ${tally.value && tally.value.wins + tally.value.losses + tally.value.ties
      ? html`<p class="note" role="status">${tally.value.says}</p>`
      : nothing}
  </div>`;
}

const picker = (label, side, known) =>
  field(label, choice(pair.value[side], [["", "Choose"], ...known.map((name) => [name, name])], (name) => choose({ [side]: name })));

const ORDER = ["The first", "The second"];

const sides = ({ sides: both, winner }) => html`<div class="sides">
    ${both.map(
      ({ who, text }, at) => html`<section aria-label=${ORDER[at]} class=${winner === who ? "chosen" : ""}>
        <h2>${winner ? pair.value[who] : ORDER[at]}</h2>
        <p class="sample"><span class="soft">${pair.value.prompt}</span>${text}</p>
        <button ?disabled=${winner !== null} @click=${() => vote(who)}>${ORDER[at]} is better</button>
      </section>`,
    )}
  </div>
  <div class="row actions">
    <button ?disabled=${winner !== null} @click=${() => vote("neither")}>Neither</button>
    ${winner ? html`<button class="primary" @click=${write}>The next pair</button>` : nothing}
  </div>`;
