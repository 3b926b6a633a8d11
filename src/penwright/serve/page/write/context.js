// What the model receives for a place in the text; the server puts it together.
import { post } from "../api.js";
import { model } from "../shell.js";
import { DEFAULTS } from "./options.js";

const LEFT = 60_000; // characters before the place that can matter
const RIGHT = 800;

/** The parts of a document's settings that the model receives. */
export const ABOUT = { memory: "", note: "", note_lines: 3, lore: [], keywords: "", category: "" };

/** Ask the server for the tokens of a place. `dropped` are spaces that tokens bring along. */
export async function buildContext(session, at, { maxTokens, signal } = {}) {
  const { doc } = session.view.state;
  const settings = { ...ABOUT, ...session.settings.value };
  const from = Math.max(0, at - LEFT);
  const whole = doc.sliceString(from, at);
  const left = /\S/.test(whole) ? whole.replace(/ +$/, "") : whole;
  const body = {
    model: model.value,
    left,
    is_whole: from === 0,
    right: doc.sliceString(at, at + RIGHT),
    memory: settings.memory,
    note: settings.note,
    note_lines: settings.note_lines,
    lore: settings.lore,
    keywords: settings.keywords || null,
    category: settings.category || null,
    max_tokens: maxTokens ?? settings.sampling?.max_tokens ?? DEFAULTS.max_tokens,
  };
  const answer = await post("/penwright/context", body, { signal });
  const kept = answer.parts.reduce((sum, { name, text }) => sum + (name === "text" ? text.length : 0), 0);
  return { ...answer, at, start: from + left.length - kept, dropped: whole.length - left.length };
}
