// Let the model write: into the text, or several continuations to choose from.
import { signal } from "../vendor/signals.js";
import { post, stream } from "../api.js";
import { model } from "../shell.js";
import { fail, say } from "../ui.js";
import { DEFAULTS, asFields, buildContext } from "./request.js";
import { FRAME } from "./session.js";
import { newId } from "./tree.js";

/** What is being done: "", "writing", "choosing" or "ranking". */
export const busy = signal("");
/** Continuations to choose from, or null: {at, parent, fill, active, items: [{id, text, score}]}. */
export const choices = signal(null);

const SENTENCE = /[.!?…]["'”’)\]]*(?=\s)/;
const SENTENCE_TOKENS = 80;
let controller = null;

export function stop() {
  controller?.abort();
  controller = null;
}

const optionsOf = (session) => ({ ...DEFAULTS, ...session.settings.value.sampling });

/** Whether there is text behind a place, so that what is written must fit it. */
export const isInside = (session, at) => /\S/.test(session.view.state.doc.sliceString(at, at + 2000));

/** Continue at the cursor: stream into the text, or inside a text offer what fits its end. */
export function continueHere(session) {
  const at = session.view.state.selection.main.to;
  return isInside(session, at) ? choose(session, { at }) : write(session, { at });
}

/** Let one job run: what ran before is stopped, errors are shown. */
async function run(session, state, job) {
  stop();
  dismiss();
  session.commit();
  const mine = (controller = new AbortController());
  busy.value = state;
  try {
    await job(mine);
  } catch (error) {
    fail(error);
  } finally {
    if (controller === mine || controller === null) busy.value = "";
  }
}

const request = (context, fields) => ({
  model: model.value,
  prompt: context.ids,
  logprobs: 0,
  ...fields,
});

/** What was written, without the space that the document already has. */
const shown = ({ dropped }, text) => (dropped ? text.replace(/^ /, "") : text);

/** Stream one continuation into the text at a place. */
export function write(session, { at, fields = {}, sentence = false }) {
  return run(session, "writing", async (mine) => {
    const sampling = { ...asFields(optionsOf(session)), ...fields };
    if (sentence) sampling.max_tokens = SENTENCE_TOKENS;
    const context = await buildContext(session, at, {
      maxTokens: sampling.max_tokens,
      signal: mine.signal,
    });
    if (mine.signal.aborted) return;
    session.beginStream(at, { model: model.value, settings: sampling });
    const about = { tokens: [] };
    let all = "";
    let text = "";
    try {
      const body = request(context, { ...sampling, stream: true });
      for await (const { choices: [choice], seed } of stream("/v1/completions", body, mine.signal)) {
        if (!session.isStreaming) break; // an undo ended it
        about.seed = seed;
        all += choice.text;
        let piece = shown(context, all).slice(text.length);
        const end = sentence ? SENTENCE.exec(text + piece) : null;
        if (end) piece = (text + piece).slice(text.length, end.index + end[0].length);
        if (piece) session.streamIn(piece);
        text += piece;
        about.tokens.push(...asTokens(choice.logprobs));
        if (choice.finish_reason) about.finish_reason = choice.stop_reason ?? choice.finish_reason;
        if (end) break;
      }
      if (session.isStreaming && (!text.trim() || about.finish_reason === "loop"))
        explain(text, () => (text ? retry(session) : write(session, { at, fields, sentence })));
    } finally {
      mine.abort();
      session.endStream(about);
    }
  });
}

/** Say why so little came, and offer to `run` it again. */
const explain = (text, run) =>
  say(
    !text ? "The model ends the text here." : text.trim() ? "The model repeated itself, and was stopped." : "Only blank space came.",
    { action: { label: "Try again", run } },
  );

const asTokens = (found) =>
  found ? found.tokens.map((token, i) => [token, round(found.token_logprobs[i])]) : [];
const round = (value) => (value === null ? null : Math.round(value * 1000) / 1000);

/** Offer several continuations of a place; inside a text, ranked by how well its end follows. */
export function choose(session, { at = session.view.state.selection.main.to } = {}) {
  return run(session, "choosing", async (mine) => {
    const options = optionsOf(session);
    const sampling = asFields(options);
    const fill = isInside(session, at);
    const n = fill ? Math.max(options.n, 4) : options.n;
    const context = await buildContext(session, at, {
      maxTokens: sampling.max_tokens,
      signal: mine.signal,
    });
    if (mine.signal.aborted) return;
    const items = Array.from({ length: n }, () => ({ id: newId(), all: "", text: "", ids: [], tokens: [] }));
    let chosen = { at, parent: session.head.value, fill, active: 0, items, about: {} };
    const isShown = () => choices.value?.items === items;
    const update = () => (choices.value = chosen = { ...chosen, active: choices.value?.active ?? 0 });
    let drawn = 0;
    update();
    try {
      const body = request(context, { ...sampling, n, stream: true });
      for await (const { choices: [choice], seed } of stream("/v1/completions", body, mine.signal)) {
        const item = items[choice.index];
        item.all += choice.text;
        item.text = shown(context, item.all);
        item.tokens.push(...asTokens(choice.logprobs));
        item.ids.push(...(choice.logprobs?.token_ids ?? []));
        chosen.about = { model: model.value, settings: sampling, seed };
        if (mine.signal.aborted || Date.now() < drawn + FRAME) continue;
        drawn = Date.now();
        update();
      }
    } catch (error) {
      fail(error);
    }
    mine.abort();
    const written = items.filter((item) => item.text.trim());
    if (fill) written.forEach((item) => (item.text = fitEnds(session, at, item.text)));
    session.addBeside(
      written.map((item, index) => ({
        id: item.id,
        parent: chosen.parent,
        changes: [[at, at, item.text]],
        author: "model",
        time: new Date().toISOString(),
        tokens: item.tokens,
        index,
        ...chosen.about,
      })),
    );
    if (fill && isShown() && context.right_ids.length && written.length) {
      busy.value = "ranking";
      await rank(context, written).catch(fail);
      written.sort((a, b) => b.score - a.score);
    }
    if (!isShown()) return; // put away, or another job began
    const blank = n - written.length;
    choices.value = written.length ? { ...chosen, items: written, active: 0, done: true, blank } : null;
    if (!written.length) explain(items[0].text, () => choose(session, { at }));
  });
}

/** Put a space between what was written and the text behind it, where both lack one. */
function fitEnds(session, at, text) {
  const next = session.view.state.doc.sliceString(at, at + 1);
  return /\S$/.test(text) && /[\p{L}\p{N}"“‘]/u.test(next) ? `${text} ` : text;
}

/** Give each candidate the mean log-probability of the text on the right behind it. */
async function rank({ ids, right_ids: right, window }, items) {
  const prompts = items.map((item) => [...ids, ...item.ids, ...right].slice(-window));
  const body = { model: model.value, prompt: prompts, max_tokens: 0, echo: true, logprobs: 0 };
  const answer = await post("/v1/completions", body);
  items.forEach((item, i) => {
    const logprobs = answer.choices[i].logprobs.token_logprobs.slice(-right.length);
    item.score = logprobs.reduce((sum, one) => sum + (one ?? 0), 0) / right.length;
  });
}

export function activate(index) {
  const { items } = choices.value;
  choices.value = { ...choices.value, active: (index + items.length) % items.length };
}

/** Put the first word, sentence or all of the active continuation into the text. */
export function accept(session, how) {
  session.commit();
  if (!choices.value) return;
  const { items, active, at, parent, about } = choices.value;
  const item = items[active];
  const rest = item.text.slice(item.taken ?? 0);
  const part = { word: /^\s*\S+/, sentence: /^[^]*?[.!?…]["'”’)\]]*(?=\s|$)/ }[how]?.exec(rest)?.[0] ?? rest;
  if (!item.taken && part === rest && session.head.value === parent) {
    session.move(item.id);
  } else {
    const taken = item.taken ?? 0;
    session.replace(at, at, part, { ...about, from: item.id, taken });
    item.taken = taken + part.length;
  }
  const done = part.length === rest.length;
  // `at` has moved with the text, as for any other edit.
  choices.value = done ? null : { ...choices.value };
}

/** Put the continuations away; they stay in the tree. */
export function dismiss() {
  if (choices.value) choices.value = null;
}

/** Write the model's last passage again, as a sibling of it. */
export function retry(session) {
  session.commit();
  const last = session.tree.path(session.head.value).findLast((node) => node.author === "model");
  if (!last) return say("There is nothing of a model to write again. Continue first.");
  const edited = session.head.value;
  if (last.id !== edited)
    say("Your edits since then stay on the other branch.", {
      action: { label: "Go back", run: () => session.move(edited) },
    });
  const siblings = session.tree.siblings(last.id).length;
  const [at] = last.changes[0];
  session.move(last.parent);
  const { seed } = optionsOf(session);
  const fields = seed === "" ? {} : { seed: Number(seed) + siblings };
  return isInside(session, at) ? choose(session, { at }) : write(session, { at, fields });
}

/** Write on to the end of the sentence. */
export const finishSentence = (session) =>
  write(session, { at: session.view.state.selection.main.to, sentence: true });
