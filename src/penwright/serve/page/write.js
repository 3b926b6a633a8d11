// The Write view: the documents, the editor, the tray of choices, the panel.
import { effect, signal, untracked } from "./vendor/signals.js";
import { html, nothing, render } from "./vendor/lit.js";
import { post } from "./api.js";
import { model, shortcuts } from "./shell.js";
import { fail, icon, iconButton, keyName, mount, say, stored } from "./ui.js";
import { buildContext, loadPresets } from "./write/request.js";
import { create, documents, list, nameOf, reload, showActions } from "./write/documents.js";
import { copiedAt, makeEditor, mark, setLayer, showGhost } from "./write/editor.js";
import * as generate from "./write/generate.js";
import { inspector, received, tab } from "./write/inspector.js";
import { Session } from "./write/session.js";
import { recover } from "./write/sync.js";
import { tray } from "./write/tray.js";
import * as words from "./write/words.js";

const session = signal(null);
/** Counts what changes the text or the cursor, to bring up to date what depends on them. */
const edited = signal(0);
const wordCount = signal(0);
const isWide = matchMedia("(min-width: 70rem)");
const hasMouse = matchMedia("(pointer: fine)");
const showsDocuments = stored("documents", true);
const showsPanel = stored("panel", true);
const drawer = signal(""); // on narrow screens: "", "documents" or "panel"
const shows = {
  author: stored("shows-author", true),
  surprise: stored("shows-surprise", false),
  copied: stored("shows-copied", false),
  words: signal(false),
};
const IDLE = 350;

const act = (run) => () => (session.value ? run(session.value) : undefined);
const ifChoosing = (run) => () => (generate.choices.value ? run(session.value) : false);

/** Key, what it does, and the function. A function that returns false leaves the key alone. */
const COMMANDS = [
  ["Mod-Enter", "Continue; inside a text, fill in", act(generate.continueHere)],
  ["Mod-Shift-Enter", "Several continuations", act((s) => generate.choose(s))],
  ["Mod-.", "Finish the sentence", act(generate.finishSentence)],
  ["Alt-r", "Write the last passage again", act(generate.retry)],
  ["Escape", "Stop; put choices away", () => escape()],
  ["Alt-ArrowDown", "Next choice", ifChoosing(() => generate.activate(generate.choices.value.active + 1))],
  ["Alt-ArrowUp", "Previous choice", ifChoosing(() => generate.activate(generate.choices.value.active - 1))],
  ["Tab", "Take the choice", ifChoosing((s) => generate.accept(s, "all"))],
  ["Alt-ArrowRight", "Take its next word", ifChoosing((s) => generate.accept(s, "word"))],
  ["Alt-Shift-ArrowRight", "Take its next sentence", ifChoosing((s) => generate.accept(s, "sentence"))],
  ["Mod-z", "Undo typing or writing", act((s) => s.undo() || true)],
  ["Mod-Shift-z", "Redo", act((s) => s.redo() || true)],
  ["Mod-y", null, act((s) => s.redo() || true)],
  ["Alt-PageUp", "Previous version", act((s) => s.sibling(-1))],
  ["Alt-PageDown", "Next version", act((s) => s.sibling(1))],
  ["Alt-a", "Alternatives to the word", act((s) => void words.lookAt(s, s.view.state.selection.main.head))],
  ["Mod-Shift-k", "Keep the passage for training", act((s) => void keepPassage(s))],
  ["Mod-f", "Find and replace", null],
  ["Mod-s", "Everything is saved as you write", act((s) => (s.commit(), say("Everything is saved as you write.")))],
];
shortcuts.Writing = COMMANDS.filter(([, what]) => what);

/** Stop writing; what came is shown, and put away the next time. */
function escape() {
  const isBusy = generate.busy.value;
  const isOpen = isBusy || generate.choices.value || words.looked.value;
  generate.stop();
  if (!isBusy) generate.dismiss();
  words.looked.value = null;
  return Boolean(isOpen);
}

export async function show(element) {
  render(
    html`<div class="write">
      <aside class="documents" aria-label="Documents"></aside>
      <section class="desk" aria-label="The text">
        <div class="desk-head"></div>
        <div class="editor"></div>
        <div class="below"></div>
      </section>
      <aside class="inspector" aria-label="The model"></aside>
    </div>`,
    element,
  );
  const [frame, left, head, host, below, right] = element.querySelectorAll("div, aside");

  const close = () => (drawer.value = "");
  const ends = [
    mount(left, () => list(session.value, close)),
    mount(head, deskHead),
    mount(below, () => (session.value ? footer(session.value) : nothing)),
    mount(right, () => (session.value ? inspector(session.value, close) : nothing)),
    effect(() => {
      frame.classList.toggle("with-documents", showsDocuments.value);
      frame.classList.toggle("with-panel", showsPanel.value);
      frame.dataset.drawer = drawer.value;
    }),
    ...keepUpToDate(),
  ];
  const over = new AbortController();
  const on = (name, act) => addEventListener(name, act, { signal: over.signal });
  on("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog")) return;
    if (event.key === "Escape") {
      escape();
      if (document.activeElement === document.body) session.value?.view.focus(); // it was in the tray
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && session.value) {
      document.activeElement.blur(); // what was typed in the panel counts
      session.value.view.focus();
      generate[event.shiftKey ? "choose" : "continueHere"](session.value);
    }
  });
  // The keys of the editor go on working after a click on a button, or when it is gone.
  below.addEventListener("click", ({ detail, target }) => {
    if (hasMouse.matches && (detail || !target.isConnected)) session.value?.view.focus();
  });
  host.addEventListener("click", close);
  on("hashchange", () => openFrom(host).catch(fail));
  on("pagehide", () => session.value?.commit());
  on("visibilitychange", () => document.visibilityState === "visible" && catchUp().catch(fail));
  loadPresets();
  recover()
    .then((found) => found.length && say("Text that had not reached the server was recovered."))
    .catch(fail)
    .then(reload)
    .then(() => openFrom(host))
    .catch(fail);
  return () => {
    over.abort();
    leaveSession();
    for (const end of ends) end();
  };
}

function leaveSession() {
  escape();
  generate.dismiss();
  session.value?.close();
  session.value?.view.destroy();
  session.value = null;
}

/** Open the document that the address names, else the newest, else a new one. */
async function openFrom(host) {
  const address = location.hash;
  const stays = () => host.isConnected && location.hash === address; // the address changes first
  const [view, id] = address.slice(1).split("/");
  if (view && view !== "write") return;
  const wanted = id ?? documents.value[0]?.id;
  if (!wanted) return create({}, stays);
  if (wanted === session.value?.id) return;
  const opened = await Session.open(wanted);
  if (!stays()) return;
  leaveSession();
  host.replaceChildren();
  host.dataset.document = opened.id;
  makeEditor(host, opened, { commands: COMMANDS, onUpdate, onClick });
  session.value = opened;
  history.replaceState(null, "", `#write/${opened.id}`);
  if (opened.damaged) say(`${opened.damaged} lines of this document could not be read.`, { error: true });
  opened.view.dispatch({ selection: { anchor: opened.view.state.doc.length }, scrollIntoView: true });
  if (hasMouse.matches) opened.view.focus();
  wordCount.value = countWords(opened.view.state.doc);
  edited.value++;
}

function onUpdate(update) {
  const chosen = generate.choices.value;
  if (update.docChanged && chosen) {
    generate.choices.value = { ...chosen, at: update.changes.mapPos(chosen.at, 1) };
  }
  if (update.docChanged && words.looked.value) words.looked.value = null;
  if (update.docChanged || update.selectionSet || update.viewportChanged) edited.value++;
}

function onClick(event, view) {
  const place = view.posAtCoords({ x: event.clientX, y: event.clientY });
  if (place === null) return;
  const isTapped = event.pointerType !== "mouse" && copiedAt(view, place);
  if (shows.words.value || event.altKey || isTapped) words.lookAt(session.value, place);
}

/** What follows the text after a pause: marks, the count of words, what the model receives. */
function keepUpToDate() {
  let timer = 0;
  const refresh = (current) => {
    if (session.value !== current || !current.view) return;
    const { view } = current;
    wordCount.value = countWords(view.state.doc);
    if (!generate.busy.value) {
      if (shows.surprise.value) words.colour(current).catch(fail);
      if (tab.value === "context") receive(current).catch(fail);
      if (shows.copied.value) words.findCopies(current).catch((error) => ((shows.copied.value = false), fail(error)));
    }
  };
  const follow = (run) => effect(() => session.value && void run(session.value));
  return [
    effect(() => {
      edited.value;
      generate.busy.value;
      model.value;
      session.value?.settings.value;
      const current = session.value;
      shows.surprise.value;
      shows.copied.value;
      tab.value;
      clearTimeout(timer);
      if (current) timer = setTimeout(() => refresh(current), IDLE);
    }),
    follow((current) => {
      // A new document is listed by its first words, as soon as there are some.
      if (current.sync.state.value !== "saved") return;
      const isNew = documents.peek().some((one) => one.id === current.id && one.title === "Untitled");
      if (isNew) untracked(() => reload().catch(fail));
    }),
    follow((current) => {
      const off = [shows.surprise.value ? "" : "surprise", tab.value === "context" ? "" : "fallen"];
      untracked(() => off.filter(Boolean).forEach((name) => setLayer(current.view, name, [])));
    }),
    follow((current) => {
      const head = current.head.value;
      const marks = shows.author.value ? current.tree.written(head) : [];
      untracked(() => {
        if (current.isStreaming) return;
        const { length } = current.view.state.doc;
        const inText = marks.filter(([, to]) => to <= length);
        setLayer(current.view, "author", inText.map(([from, to]) => mark(from, to, "by-model")));
      });
    }),
    follow((current) => {
      const head = current.head.value;
      const { parent } = generate.choices.peek() ?? {};
      // Choices that were made for a text which an undo took back make no sense here.
      if (parent && !current.tree.path(head).some((node) => node.id === parent)) generate.dismiss();
    }),
    follow((current) => {
      const chosen = generate.choices.value;
      const item = chosen?.items[chosen.active];
      queueMicrotask(() => {
        if (session.value === current)
          showGhost(current.view, Math.min(chosen?.at ?? 0, current.view.state.doc.length), item?.text.slice(item.taken ?? 0));
      });
    }),
    follow((current) => {
      if (!shows.copied.value) untracked(() => words.hideCopies(current));
    }),
  ];
}

async function receive(current) {
  const found = await buildContext(current, current.view.state.selection.main.to);
  if (session.value !== current) return;
  received.value = found;
  setLayer(current.view, "fallen", found.start > 0 && found.start <= current.view.state.doc.length ? [mark(0, found.start, "fallen")] : []);
}

function countWords(doc) {
  let count = 0;
  for (const line of doc.iterLines()) count += line.match(/[\p{L}\p{N}][\p{L}\p{N}'’-]*/gu)?.length ?? 0;
  return count;
}

/** Follow what another tab or machine appended while this one was in the background. */
async function catchUp() {
  loadPresets();
  await reload();
  const current = session.value;
  if (!current || current.isStreaming || current.sync.state.value !== "saved") return;
  const head = await current.refresh();
  if (head !== current.head.value && !current.sync.diverged.value && current.sync.state.value === "saved")
    current.move(head, { quietly: true });
}

async function keepPassage(current) {
  current.commit();
  const { main } = current.view.state.selection;
  const written = current.tree.written(current.head.value);
  const last = written.at(-1);
  const [from, to] = main.empty ? (last ?? [0, 0]) : [main.from, main.to];
  const text = current.view.state.sliceDoc(from, to);
  if (!text.trim()) return say("Select the passage to keep.");
  const isModel = written.some(([start, end]) => start < to && end > from);
  const prompt = current.view.state.sliceDoc(Math.max(0, from - 1000), from);
  try {
    const body = { text, prompt, machine_written: isModel, document: current.id, model: isModel ? model.value : "" };
    const { file, passages } = await post("/penwright/kept", body);
    say(`Kept; ${file} has ${passages} ${passages === 1 ? "passage" : "passages"} to train on.`);
  } catch (error) {
    fail(error);
  }
}

const toggle = (kept, name) => {
  if (isWide.matches) kept.value = !kept.value;
  else drawer.value = drawer.value === name ? "" : name;
};

function deskHead() {
  const current = session.value;
  const listed = nameOf(current?.id);
  const { title } = current?.settings.value ?? {};
  return html`
    <h1 class="hidden">Write: ${listed}</h1>
    ${iconButton("menu", "Documents", () => toggle(showsDocuments, "documents"))}
    ${current ? countOf(current) : nothing}
    <input
      class="title"
      aria-label="Title"
      placeholder=${listed}
      .value=${title === "Untitled" ? "" : (title ?? "")}
      @keydown=${({ key }) => key === "Enter" && current.view.focus()}
      ?disabled=${!current}
      @change=${({ target }) => {
        current.set({ title: target.value.trim() || "Untitled" });
        setTimeout(() => reload().catch(fail), 300);
      }}
    />
    ${iconButton("more", "Find, export, and more", () => showActions(current), { disabled: !current })}
    ${iconButton("panel", "Options, context and branches", () => toggle(showsPanel, "panel"))}
  `;
}

const countOf = (current) => html`<span class="small soft count">
  ${wordCount.value.toLocaleString()} ${wordCount.value === 1 ? "word" : "words"}
  <span class="state" role="status">${STATES[current.sync.state.value]}</span>
</span>`;

const STATES = { saved: "Saved", saving: "Saving", waiting: "Kept in this browser" };

function footer(current) {
  const isBusy = generate.busy.value !== "";
  const pressed = (name, label, title) => html`<button
    class="bare small mark-${name}"
    aria-pressed=${shows[name].value}
    title=${title}
    @click=${() => (shows[name].value = !shows[name].value)}
  >
    ${label}
  </button>`;
  const button = (name, label, key, run, disabled) => iconButton(name, label, () => run(current), { key, disabled });
  current.version.value;
  const head = current.head.value;
  return html`
    ${current.sync.diverged.value ? divergence(current) : nothing} ${tray(current)}
    <div class="toolbar">
      ${isBusy
        ? html`<button class="primary main-action" @click=${generate.stop} title="Stop (Esc)">${icon("stop")} Stop</button>`
        : html`<button class="primary main-action" @click=${() => generate.continueHere(current)} title="Continue (${keyName("Mod-Enter")})">
            ${icon("write")} Continue
          </button>`}
      <button @click=${() => generate.choose(current)} title="Several continuations (${keyName("Mod-Shift-Enter")})">
        ${icon("choices")} Choices
      </button>
      ${button("sentence", "Finish the sentence", "Mod-.", generate.finishSentence)}
      ${button("retry", "Write the last passage again", "Alt-r", generate.retry)}
      ${button("undo", "Undo", "Mod-z", (s) => s.undo(), head === null)}
      ${button("redo", "Redo", "Mod-Shift-z", (s) => s.redo(), current.tree.next(head) === null)}
      ${button("keep", "Keep the passage for training", "Mod-Shift-k", keepPassage)}
      <span class="spacer"></span>
      <span class="marks" role="group" aria-label="Marks in the text">
        ${pressed("author", "Author", "Show what the model wrote")}
        ${pressed("surprise", "Surprise", "Colour what the model finds surprising")}
        ${pressed("words", "Words", "Click a word to see its alternatives")}
        ${pressed("copied", "Copied", "Underline what stands in the training text")}
      </span>
    </div>
  `;
}

const divergence = (current) => html`<div class="notice" role="alert">
  <span>This document was changed in another tab too. Both texts are kept as branches.</span>
  <button @click=${() => showTheirs(current).catch(fail)}>Show the other</button>
  <button @click=${() => keepMine(current)}>Keep this one</button>
</div>`;

async function showTheirs(current) {
  current.commit();
  const head = await current.refresh();
  current.sync.diverged.value = false;
  current.move(head, { quietly: true });
}

function keepMine(current) {
  current.commit();
  current.sync.diverged.value = false;
  current.sync.send({ move: current.head.value });
}
