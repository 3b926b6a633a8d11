// Send a document's changes to the server, in order, each until it is confirmed. Until then they are
// in this browser's IndexedDB: a tab has an entry for its document, and holds a lock while it lives,
// so that another one takes over only what a tab left behind.
import { signal } from "../vendor/signals.js";
import { post } from "../api.js";
import { fail } from "../ui.js";
import { newId } from "./tree.js";

const TAB = newId();
const lockName = (tab) => `penwright-tab-${tab}`;
navigator.locks?.request(lockName(TAB), () => new Promise(() => {}));

const database = new Promise((resolve, reject) => {
  const request = indexedDB.open("penwright", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("unsent", { keyPath: "tab" });
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

function ask(mode, act) {
  return database.then(
    (db) =>
      new Promise((resolve, reject) => {
        const transaction = db.transaction("unsent", mode);
        const request = act(transaction.objectStore("unsent"));
        transaction.oncomplete = () => resolve(request.result);
        transaction.onerror = () => reject(transaction.error);
      }),
  );
}

const keep = (document, operations) =>
  ask("readwrite", (store) =>
    operations.length ? store.put({ tab: TAB, document, operations }) : store.delete(TAB),
  ).catch((error) => console.error(error));

/** Return the entries that closed tabs left, for all documents. */
async function leftBehind() {
  const entries = await ask("readonly", (store) => store.getAll()).catch(() => []);
  const { held = [] } = (await navigator.locks?.query()) ?? {};
  const alive = new Set(held.map((lock) => lock.name));
  return entries.filter((entry) => entry.tab !== TAB && !alive.has(lockName(entry.tab)));
}

const forget = (entry) => ask("readwrite", (store) => store.delete(entry.tab));

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

  #keep() {
    keep(this.id, [...this.#queue, ...this.#pending]);
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
  for (const entry of await leftBehind()) {
    for (const operation of entry.operations) {
      try {
        await sendOperation(entry.document, operation);
      } catch (error) {
        if (error.isTemporary) return recovered;
        fail(error);
      }
    }
    await forget(entry);
    recovered.push(entry.document);
  }
  return recovered;
}
