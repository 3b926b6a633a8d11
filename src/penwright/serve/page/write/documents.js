// The list of documents: make, open, import, export, put aside.
import { openSearchPanel } from "../vendor/codemirror.js";
import { html, nothing } from "../vendor/lit.js";
import { signal } from "../vendor/signals.js";
import { asBase64, get, getText, post } from "../api.js";
import { closeDialog, download, fail, iconButton, openDialog, say } from "../ui.js";

const PATH = "/penwright/documents";
const LARGEST = 5_000_000;

/** Id, title and time of each document, the newest first. */
export const documents = signal([]);
export const reload = async () => (documents.value = await get(PATH));

/** Make a document, with the options of another one, and show it unless `stays` says that the view was left. */
export async function create({ sampling, preset } = {}, stays = () => true) {
  const { id } = await post(PATH, { title: "Untitled", text: "" });
  if (sampling) await post(`${PATH}/${id}/settings`, { values: { sampling, preset } });
  await reload();
  if (stays()) location.hash = `write/${id}`;
}

/** The title of a document, or its first words. */
export const nameOf = (id) => documents.value.find((one) => one.id === id)?.title ?? "Untitled";

const asDate = (seconds) => {
  const date = new Date(seconds * 1000);
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString([], isToday ? { timeStyle: "short" } : { day: "numeric", month: "short" });
};

/** The list; `session` is the open document, or null. */
export const list = (session, close) => html`
  <div class="row panel-head">
    <h2>Documents</h2>
    <span class="spacer"></span>
    ${iconButton("plus", "New document", () => create(session?.settings.peek()).catch(fail))}
    ${iconButton("close", "Close the list", close, { more: "narrow-only" })}
  </div>
  <ul class="document-list">
    ${documents.value.map(
      (one) => html`<li>
        <a
          href="#write/${one.id}"
          aria-current=${one.id === session?.id ? "true" : "false"}
          @click=${close}
          ><span class="document-title">${one.title}</span>
          <span class="soft small">${asDate(one.modified)}</span></a
        >
      </li>`,
    )}
  </ul>
  <label class="import quiet" title="Text, Markdown, docx, epub, odt, rtf, or json that was exported here">
    <input class="hidden" type="file" accept=".txt,.md,.json,.docx,.epub,.odt,.rtf" multiple @change=${importFiles} />
    Import a file
  </label>
`;

async function importFiles({ target }) {
  try {
    for (const file of target.files) await importFile(file);
    await reload();
  } catch (error) {
    fail(error);
  }
  target.value = "";
}

async function importFile(file) {
  if (file.size > LARGEST) throw new Error(`${file.name} is larger than 5 MB; divide it first.`);
  let body = { title: file.name.replace(/\.\w+$/, ""), name: file.name };
  if (/\.json$/i.test(file.name)) {
    body = JSON.parse(await file.text());
    if (!body.records) throw new Error(`${file.name} is no document that was exported here.`);
  } else body.data = await asBase64(file);
  const { id, notes = [] } = await post(`${PATH}/import`, body);
  notes.forEach((note) => say(note));
  location.hash = `write/${id}`;
}

/** Ask how to export a document, or to put it aside. */
export function showActions(session) {
  const title = nameOf(session.id);
  const save = async (format) => {
    session.commit();
    const text = await getText(`${PATH}/${session.id}/export?format=${format}`);
    download(`${title.replace(/[^\p{L}\p{N} _-]/gu, "")}.${format}`, text);
    closeDialog();
  };
  openDialog(
    title,
    () => html`<p><button @click=${() => (closeDialog(), openSearchPanel(session.view))}>Find and replace</button></p>
      <h3>Export</h3>
      <p class="row">
        ${["txt", "md", "json"].map(
          (format) => html`<button @click=${() => save(format).catch(fail)}>${format}</button>`,
        )}
      </p>
      <p class="soft small">json has every branch and can be imported again.</p>
      <h3>Put aside</h3>
      <p>
        <button @click=${() => putAside(session).catch(fail)}>Take it off the list</button>
      </p>
      <p class="soft small">Its file stays in the documents' folder, with the ending .removed.</p>`,
  );
}

async function putAside(session) {
  await post(`${PATH}/${session.id}/remove`, {});
  closeDialog();
  say("The document is off the list; its file is kept.");
  await reload();
  location.hash = documents.value.length ? `write/${documents.value[0].id}` : "write";
}
