// The crash buffer: what the server has not confirmed yet, in this browser's IndexedDB.
//
// Each tab has an entry for its document. A tab holds a lock while it lives, so that another one
// takes over only what a tab left behind.
import { newId } from "./tree.js";

export const TAB = newId();
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

/** Keep the operations that the server has not confirmed. */
export const keep = (document, operations) =>
  ask("readwrite", (store) =>
    operations.length ? store.put({ tab: TAB, document, operations }) : store.delete(TAB),
  ).catch((error) => console.error(error));

/** Return the entries that closed tabs left, for all documents. */
export async function leftBehind() {
  const entries = await ask("readonly", (store) => store.getAll()).catch(() => []);
  const { held = [] } = (await navigator.locks?.query()) ?? {};
  const alive = new Set(held.map((lock) => lock.name));
  return entries.filter((entry) => entry.tab !== TAB && !alive.has(lockName(entry.tab)));
}

export const forget = (entry) => ask("readwrite", (store) => store.delete(entry.tab));
