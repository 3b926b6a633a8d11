// Requests to the server: JSON, and streams of server-sent events.
import { signal } from "./vendor/signals.js";

const KEY = "penwright-token";
const HEADER = "X-Penwright-Token";

/** False while the server does not answer; "refused" when it does not accept the token. */
export const connection = signal(true);

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
  /** Whether the same request may succeed later. */
  get isTemporary() {
    return this.status === 0 || this.status === 401 || this.status === 429 || this.status >= 500;
  }
}

let token = sessionStorage.getItem(KEY) ?? "";
const tabs = new BroadcastChannel(KEY);
let found = () => {};
// A tab with a new token, after a restart of the server, tells all others; one without asks them.
tabs.onmessage = ({ data }) => {
  if (data.fresh || (data.known && !token)) keep(data.fresh ?? data.known);
  else if (data.ask && token) tabs.postMessage({ known: token });
};

function keep(value) {
  token = value;
  sessionStorage.setItem(KEY, value);
  connection.value = true;
  found();
}

/** Move the token from the address to this tab's memory; returns whether there was one. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return false;
  keep(given);
  tabs.postMessage({ fresh: given });
  history.replaceState(null, "", location.pathname);
  return true;
}

/** Wait until this tab has a token: its own, or that of another tab. */
export function waitForToken() {
  return new Promise((resolve) => {
    if (token) return resolve();
    found = resolve;
    tabs.postMessage({ ask: true });
  });
}

export const get = (path) => send(path).then((answer) => answer.json());
export const getText = (path) => send(path).then((answer) => answer.text());
export const post = (path, body, options) =>
  send(path, { method: "POST", body: JSON.stringify(body), ...options }).then((a) => a.json());

const broken = (says) => (error) => {
  if (error.name === "AbortError") throw error;
  connection.value = false;
  throw new ApiError(says, 0);
};

async function send(path, options = {}) {
  const headers = { [HEADER]: token };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { ...options, headers }).catch(broken("The server does not answer."));
  connection.value = answer.status === 401 ? "refused" : true;
  if (answer.ok) return answer;
  const found = await answer.json().catch(() => ({}));
  throw new ApiError(found.error?.message ?? answer.statusText, answer.status);
}

/** Yield the objects of a stream; ends at [DONE]. Throws ApiError when the connection breaks. */
export async function* stream(path, body, signal) {
  const answer = await send(path, { method: "POST", body: JSON.stringify(body), signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(broken("The connection to the server broke."));
      if (done) throw new ApiError("The server stopped while it was writing.", 0);
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        if (!event.startsWith("data: ")) continue;
        if (event === "data: [DONE]") return;
        const found = JSON.parse(event.slice(6));
        if (found.error) throw new ApiError(found.error.message, 500);
        yield found;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** The bytes of a file in base64. */
export const asBase64 = (file) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1]);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
