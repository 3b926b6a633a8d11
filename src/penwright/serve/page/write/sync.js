// Send a document's changes to the server, in order, each until it is confirmed.
import { signal } from "../vendor/signals.js";
import { post } from "../api.js";
import { fail } from "../ui.js";
import * as buffer from "./buffer.js";

const RETRY = 1500;
const documentPath = (id) => `/penwright/documents/${id}`;

export class Sync {
  /** "saved", "saving" or "waiting" for a server that does not answer. */
  state = signal("saved");
  /** Whether another tab has moved the document's head, so that ours is a branch of its own. */
  diverged = signal(false);
  #queue = [];
  #pending = [];
  #sending = false;
  #closed = false;

  constructor(id) {
    this.id = id;
  }

  /** Send an operation: {append: nodes, expected, beside}, {move: head} or {set: values}. */
  send(operation) {
    this.#queue.push(operation);
    this.#pending = [];
    this.#keep();
    this.#run();
  }

  /** Keep in the crash buffer what is being typed or streamed, before it is sent. */
  hold(operations) {
    this.#pending = operations;
    this.#keep();
  }

  close() {
    this.#closed = true;
  }

  #keep() {
    buffer.keep(this.id, [...this.#queue, ...this.#pending]);
  }

  async #run() {
    if (this.#sending) return;
    this.#sending = true;
    while (this.#queue.length) {
      this.state.value = this.state.value === "waiting" ? "waiting" : "saving";
      try {
        const answer = await sendOperation(this.id, this.#queue[0]);
        if (answer.moved === false && !this.#queue[0].beside) this.diverged.value = true;
        this.#queue.shift();
        this.#keep();
        this.state.value = "saving";
      } catch (error) {
        if (!error.isTemporary) {
          fail(error);
          this.#queue.shift();
          continue;
        }
        this.state.value = "waiting";
        await new Promise((resolve) => setTimeout(resolve, RETRY));
        if (this.#closed && this.#queue.length === 0) break;
      }
    }
    this.#sending = false;
    this.state.value = "saved";
  }
}

function sendOperation(id, operation) {
  const path = documentPath(id);
  if (operation.append)
    return post(`${path}/append`, { nodes: operation.append, expected: operation.expected });
  if ("move" in operation) return post(`${path}/move`, { head: operation.move });
  return post(`${path}/settings`, { values: operation.set });
}

/** Send what tabs that were closed or crashed left behind; returns the documents it was for. */
export async function recover() {
  const recovered = [];
  for (const entry of await buffer.leftBehind()) {
    for (const operation of entry.operations) {
      try {
        await sendOperation(entry.document, operation);
      } catch (error) {
        if (error.isTemporary) return recovered;
        fail(error);
      }
    }
    await buffer.forget(entry);
    recovered.push(entry.document);
  }
  return recovered;
}
