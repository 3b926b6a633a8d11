// Look at words: their alternatives, how surprising they are, where they were copied from.
import { signal } from "../vendor/signals.js";
import { post } from "../api.js";
import { model } from "../shell.js";
import { fail, say } from "../ui.js";
import { buildContext } from "./request.js";
import { copiedAt, mark, scrollTo, setLayer } from "./editor.js";
import { dismiss, isInside, write } from "./generate.js";

/** The word that is looked at, or null: {from, to, word, share, list: [[text, share, what is shown]], copied}. */
export const looked = signal(null);

export const percent = (share) =>
  share >= 0.1 ? `${Math.round(share * 100)} %` : share >= 0.001 ? `${(share * 100).toFixed(1)} %` : "< 0.1 %";

const BEST = 20;
const WORD = /[\p{L}\p{N}'’_-]/u;
/** Bits of surprise from which a token has a colour, by strength. */
const SURPRISING = [5, 8, 11, 14];

const score = (prompt, logprobs) =>
  post("/v1/completions", { model: model.value, prompt, max_tokens: 0, echo: true, logprobs }).then(
    (answer) => answer.choices[0].logprobs,
  );

/** The word at a place of the text, or the mark before its end, with the space before it. */
function wordAt(state, place) {
  const line = state.doc.lineAt(place);
  const text = line.text.trimEnd();
  let from = Math.min(place - line.from, text.length);
  let to = from;
  while (WORD.test(text.charAt(from - 1))) from--;
  while (WORD.test(text.charAt(to))) to++;
  if (from === to) to < text.length ? to++ : from && from--; // a mark of punctuation
  if (text[from - 1] === " ") from--;
  // What begins with a letter goes on with the word before, if there is one.
  return { from: line.from + from, to: line.from + to, joins: WORD.test(text.charAt(from - 1)) };
}

/** Show what the model would have written in a word's place. */
export async function lookAt(session, place) {
  const { from, to, joins } = wordAt(session.view.state, place);
  if (from === to) return say("There is no word here.");
  const word = session.view.state.sliceDoc(from, to);
  try {
    const context = await buildContext(session, from, { maxTokens: 8 });
    const { ids } = await post("/penwright/tokens", { model: model.value, text: word });
    const start = context.ids.length;
    const found = await score([...context.ids, ...ids], BEST);
    const share = Math.exp(
      found.token_logprobs.slice(start).reduce((sum, one) => sum + (one ?? 0), 0),
    );
    const list = Object.entries(found.top_logprobs[start] ?? {})
      .filter(([text]) => !text.startsWith("bytes:"))
      .map(([text, logprob]) => [text, Math.exp(logprob), joins && /^[\p{L}\p{N}]/u.test(text) ? `…${text}` : text.trim()])
      .sort((a, b) => b[1] - a[1]);
    dismiss();
    looked.value = { from, to, word, share, list, copied: copiedAt(session.view, place)?.span };
    scrollTo(session.view, from);
  } catch (error) {
    fail(error);
  }
}

/** Put an alternative in the word's place and that of what the model wrote on; continue from it, unless text follows. */
export function take(session, text) {
  const { from, to } = looked.value;
  looked.value = null;
  session.commit();
  const passage = session.tree
    .written(session.head.value)
    .find(([start, end]) => start <= to - 1 && end >= to);
  const end = passage ? passage[1] : to;
  session.replace(from, end, text);
  const at = from + text.length;
  if (passage || !isInside(session, at)) write(session, { at });
}

/** Colour the text by how surprising the model finds each token. */
export async function colour(session) {
  const { view } = session;
  const at = Math.min(view.state.doc.length, view.viewport.to);
  if (!at) return setLayer(view, "surprise", []);
  const { doc } = view.state;
  const context = await buildContext(session, at, { maxTokens: 1 });
  const found = await score(context.ids, 0);
  if (!view.state.doc.eq(doc)) return; // edited meanwhile; the next round will do
  const marks = [];
  let token = found.tokens.length;
  let end = at - context.dropped;
  for (const part of context.parts.toReversed()) {
    token -= part.tokens;
    if (part.name !== "text") continue;
    end -= part.text.length;
    marks.push(...coloursOf(part, found, token, end));
  }
  setLayer(view, "surprise", marks);
}

/** Where each character begins: the server counts characters, the editor UTF-16 units. */
function placesOf(text) {
  const places = [0];
  for (const point of text) places.push(places.at(-1) + point.length);
  return places;
}

/** The marks of a part of the text that begins with a token, and at a place of the document. */
function coloursOf(part, { tokens, token_logprobs, text_offset }, first, begin) {
  const places = placesOf(part.text);
  const marks = [];
  for (let i = first; i < first + part.tokens; i++) {
    const logprob = token_logprobs[i];
    if (logprob === null) continue;
    const strength = SURPRISING.filter((bits) => -logprob / Math.LN2 >= bits).length;
    const lead = /^\s*/.exec(tokens[i])[0].length;
    const next = i + 1 < first + part.tokens ? text_offset[i + 1] - text_offset[first] : places.length - 1;
    const from = begin + (places[text_offset[i] - text_offset[first]] ?? 0) + lead;
    const to = begin + (places[next] ?? 0);
    if (strength && to > from)
      marks.push(mark(from, to, `surprise s${strength}`, { attributes: { title: percent(Math.exp(logprob)) } }));
  }
  return marks;
}

/** What was found last. */
let told = {};

export function hideCopies({ view }) {
  told = {};
  setLayer(view, "copied", []);
}

/** Underline what stands word for word in the training text; says how much, when that changes. */
export async function findCopies({ view }) {
  const { doc } = view.state;
  if (doc === told.doc && model.value === told.by) return;
  const text = doc.toString();
  const found = await post("/penwright/copied", { model: model.value, text });
  if (!view.state.doc.eq(doc)) return;
  const places = placesOf(text);
  setLayer(
    view,
    "copied",
    found.spans.map((span) => mark(places[span.start], places[span.end], "copied", { span })),
  );
  const number = found.spans.length;
  const isNews = number !== told.number;
  told = { doc, by: model.value, number };
  if (isNews) say(
    number
      ? `${number} ${number === 1 ? "passage is" : "passages are"} copied word for word. Point at one, or tap it, to see its source.`
      : "Nothing here is copied from the training text.",
  );
}
