// The options of sampling: their names, ranges and presets.
import { signal } from "../vendor/signals.js";
import { get, post } from "../api.js";
import { fail } from "../ui.js";

/** Name, label, range, step, and help of each option. */
export const OPTIONS = [
  ["max_tokens", "Length in tokens", 8, 400, 4, "A token is about three quarters of a word."],
  ["temperature", "Temperature", 0, 2, 0.05, "Below 1 calmer, above 1 wilder; 0 always the likeliest."],
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

export const DEFAULTS = {
  max_tokens: 60, temperature: 0.8, top_p: 0.95, min_p: 0, top_k: 0, typical_p: 1,
  repetition_penalty: 1, frequency_penalty: 0, presence_penalty: 0, no_repeat_ngram_size: 0,
  max_copy: 0, finish_sentence: false, on_loop: "stop", bad_words: "", n: 3, stop: "", seed: "",
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

export function keepPreset(name, values) {
  own.value = { ...own.value, [name]: values };
  post("/penwright/presets", { presets: own.value }).catch(fail);
}

export function dropPreset(name) {
  const { [name]: _, ...rest } = own.value;
  own.value = rest;
  post("/penwright/presets", { presets: rest }).catch(fail);
}

const lines = (text) =>
  text.split("\n").filter(Boolean).map((line) => line.replaceAll("\\n", "\n"));

/** The fields of a request for these options. */
export function asFields(options) {
  const { n: _, stop, bad_words, seed, ...fields } = { ...DEFAULTS, ...options };
  if (stop) fields.stop = lines(stop);
  if (bad_words) fields.bad_words = lines(bad_words);
  if (seed !== "") fields.seed = Number(seed);
  return fields;
}
