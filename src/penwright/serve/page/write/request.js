// What a model is asked: the options of sampling with their presets, and what it receives.
import { signal } from "../vendor/signals.js";
import { get, post } from "../api.js";
import { model } from "../shell.js";
import { fail } from "../ui.js";

/** Name, label, range, step, and help of each option; those after the first `MAIN` are for few. */
export const MAIN = 3;
export const OPTIONS = [
  ["max_tokens", "Length in tokens", 8, 400, 4, "A token is about three quarters of a word."],
  ["temperature", "Temperature", 0, 2, 0.05, "Below 1 calmer, above 1 wilder; 0 always the likeliest."],
  ["n", "Continuations to choose from", 2, 8, 1, "For Choices, and inside a text."],
  ["top_p", "Top-p", 0.05, 1, 0.01, "Among the likeliest tokens that together have this probability."],
  ["min_p", "Min-p", 0, 0.5, 0.01, "Leaves out tokens less likely than this share of the likeliest."],
  ["top_k", "Top-k", 0, 200, 1, "Among the k likeliest tokens; 0 among all."],
  ["typical_p", "Typical", 0.05, 1, 0.01, "Among the tokens whose surprise is near the expected one."],
  ["repetition_penalty", "Repetition penalty", 1, 2, 0.01, "Above 1 makes tokens that occurred less likely."],
  ["frequency_penalty", "Frequency penalty", 0, 2, 0.05, "For each time that a token was written."],
  ["presence_penalty", "Presence penalty", 0, 2, 0.05, "For each token that was written at all."],
  ["max_copy", "Longest copy", 0, 40, 1, "At most so many tokens in a row as in the training text; 0 for no limit. For a model trained here."],
  ["no_repeat_ngram_size", "No repeats of", 0, 12, 1, "Never the same sequence of so many tokens; 0 allows it."],
];

/** Options that are texts, one a line. */
export const TEXTS = { require: "Must occur", bad_words: "Never write", stop: "Stop before" };

export const DEFAULTS = {
  max_tokens: 60, temperature: 0.8, top_p: 0.95, min_p: 0, top_k: 0, typical_p: 1,
  repetition_penalty: 1, frequency_penalty: 0, presence_penalty: 0, no_repeat_ngram_size: 0,
  max_copy: 0, finish_sentence: false, on_loop: "stop", n: 3, require: "", bad_words: "", stop: "",
  bias: [], seed: "",
};

const BUILT_IN = {
  Balanced: {},
  Careful: { temperature: 0.6, top_p: 0.9 },
  Bold: { temperature: 1.05, top_p: 1, min_p: 0.05 },
  "The model itself": { temperature: 1, top_p: 1 },
  "Always the likeliest": { temperature: 0 },
};

const own = signal({});

export const presets = () => ({ ...BUILT_IN, ...own.value });
export const isOwn = (name) => name in own.value;
export const loadPresets = () =>
  get("/penwright/presets").then((found) => (own.value = found.presets)).catch(fail);

/** Change the presets as they are now: another tab may have kept some. */
async function change(run) {
  await loadPresets();
  own.value = run(own.value);
  await post("/penwright/presets", { presets: own.value }).catch(fail);
}

export const keepPreset = (name, values) => change((all) => ({ ...all, [name]: values }));
export const dropPreset = (name) => change(({ [name]: _, ...rest }) => rest);

const lines = (text) =>
  text.split("\n").filter(Boolean).map((line) => line.replaceAll("\\n", "\n"));

/** The fields of a request for these options. */
export function asFields(options) {
  const { n: _, bias, seed, ...fields } = { ...DEFAULTS, ...options };
  for (const name in TEXTS) fields[name] = lines(fields[name]);
  // A word after a space, and at the beginning of a line.
  const biases = bias.filter(({ word }) => word.trim()).flatMap(({ word, by }) => [[` ${word.trim()}`, by], [word.trim(), by]]);
  if (biases.length) fields.logit_bias = Object.fromEntries(biases);
  if (seed !== "") fields.seed = Number(seed);
  return fields;
}

const LEFT = 60_000; // characters before the place that can matter
const RIGHT = 800;

/** The parts of a document's settings that the model receives. */
export const ABOUT = { memory: "", note: "", note_lines: 3, lore: [], keywords: "", category: "", fields: {} };

/** Ask the server for the tokens of a place. `dropped` is 1 for a space that the next token brings along. */
export async function buildContext(session, at, { maxTokens, signal } = {}) {
  const { doc } = session.view.state;
  const settings = { ...ABOUT, ...session.settings.value };
  const from = Math.max(0, at - LEFT);
  const whole = doc.sliceString(from, at);
  const left = whole.replace(/ $/, "");
  const body = {
    model: model.value,
    left,
    is_whole: from === 0,
    right: doc.sliceString(at, at + RIGHT),
    memory: settings.memory,
    note: settings.note,
    note_lines: settings.note_lines,
    lore: settings.lore,
    fields: settings.fields,
    keywords: settings.keywords || null,
    category: settings.category || null,
    max_tokens: maxTokens ?? settings.sampling?.max_tokens ?? DEFAULTS.max_tokens,
  };
  const answer = await post("/penwright/context", body, { signal });
  const kept = answer.parts.reduce((sum, { name, text }) => sum + (name === "text" ? text.length : 0), 0);
  return { ...answer, at, start: from + left.length - kept, dropped: whole.length - left.length };
}
