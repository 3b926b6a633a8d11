// An open document: its tree, its editor, and what is being typed or streamed into it.
//
// Typing is grouped into a node. While a model streams, two sets of changes grow side by side: the
// model's text, and the writer's edits on top of it; each new piece is put below the edits. When the
// stream ends they become two nodes, the model's first.
import { Annotation, ChangeSet, EditorView } from "../vendor/codemirror.js";
import { signal } from "../vendor/signals.js";
import { get } from "../api.js";
import { Sync } from "./sync.js";
import { asChanges, asChangeSet, newId, Tree } from "./tree.js";

/** Who caused a transaction, where it was not the writer: "tree" or "stream". */
export const origin = Annotation.define();

export const FRAME = 33; // milliseconds between two changes of a stream
const PAUSE = 900; // milliseconds that end a group of typing
const GROUP = 80; // characters of a group that a space ends
const tabs = new BroadcastChannel("penwright-documents");

export class Session {
  head = signal(null);
  settings = signal({});
  /** Counts changes of the tree, for what draws it. */
  version = signal(0);
  view = null;
  #human = null; // the edits since the head, or on top of the model's text
  #model = null; // {at, text}: what streams in
  #waiting = ""; // pieces of the stream that are not in the text yet
  #flushing = 0;
  #lastEdit = 0;
  #timer = 0;
  #heldIds = [newId(), newId()];

  static async open(id) {
    const found = await get(`/penwright/documents/${id}`);
    return new Session(found);
  }

  constructor({ id, head, text, nodes, settings, damaged }) {
    this.id = id;
    this.tree = new Tree(nodes, head, text);
    this.text = text;
    this.damaged = damaged ?? 0;
    this.head.value = head;
    this.settings.value = settings;
    this.sync = new Sync(id);
    tabs.addEventListener("message", this.#hear);
  }

  close() {
    this.commit();
    tabs.removeEventListener("message", this.#hear);
    clearTimeout(this.#timer);
  }

  /** Take in a transaction of the editor. */
  receive(transaction) {
    if (!transaction.docChanged || transaction.annotation(origin)) return;
    const now = Date.now();
    const isTyping = transaction.isUserEvent("input.type") || transaction.isUserEvent("delete");
    const isApart = !isTyping || now - this.#lastEdit > PAUSE;
    if (this.#human && !this.#model && isApart) this.commit();
    this.#lastEdit = isTyping ? now : 0;
    const { changes } = transaction;
    this.#human = this.#human ? this.#human.compose(changes) : changes;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.#model ? this.#hold() : this.commit()), PAUSE);
    if (this.#model) this.#hold();
    else if (isBreak(changes, this.#human)) this.commit();
    else this.#hold();
  }

  #hold() {
    const nodes = this.#pendingNodes();
    this.sync.hold(nodes.length ? [{ append: nodes, expected: this.head.value }] : []);
  }

  /** The nodes that the changes since the head would make. */
  #pendingNodes() {
    const nodes = [];
    let parent = this.head.value;
    const add = (id, changes, rest) => {
      if (!changes.length) return;
      nodes.push({ id, parent, changes, time: new Date().toISOString(), ...rest });
      parent = id;
    };
    if (this.#model) {
      const { at, text, about } = this.#model;
      add(this.#heldIds[0], text ? [[at, at, text]] : [], { author: "model", ...about });
    }
    if (this.#human) add(this.#heldIds[1], asChanges(this.#human), { author: "human" });
    return nodes;
  }

  /** Make nodes of what was typed, or streamed, since the head. */
  commit() {
    clearTimeout(this.#timer);
    this.#flush();
    const nodes = this.#pendingNodes();
    this.#human = this.#model = null;
    this.#heldIds = [newId(), newId()];
    if (nodes.length) this.append(nodes);
  }

  /** Append a chain of nodes that ends with the text that is shown. */
  append(nodes) {
    const before = this.head.value;
    for (const node of nodes) this.tree.add(node);
    const head = nodes.at(-1).id;
    this.tree.visit(head);
    this.head.value = head;
    this.version.value++;
    this.sync.send({ append: nodes, expected: before });
    tabs.postMessage({ document: this.id, nodes, before, head });
  }

  /** Put a text in the place of another, as a node of the model's. */
  replace(from, to, text, about = {}) {
    this.commit();
    const parent = this.head.value;
    this.view.dispatch({
      changes: { from, to, insert: text },
      selection: { anchor: from + text.length },
      scrollIntoView: true,
      annotations: origin.of("tree"),
    });
    const changes = [[from, to, text]];
    this.append([
      { id: newId(), parent, changes, author: "model", time: new Date().toISOString(), ...about },
    ]);
  }

  /** Add nodes beside the text that is shown: candidates that nobody chose yet. */
  addBeside(nodes) {
    for (const node of nodes) {
      this.tree.add(node);
      // An expectation that never holds: the head stays where it is.
      this.sync.send({ append: [node], expected: "none-of-them", beside: true });
    }
    this.version.value++;
  }

  /** Show the text of another node. */
  move(target, { quietly = false } = {}) {
    this.commit();
    const from = this.head.value;
    if (target === from) return;
    const changes = this.tree.between(from, target);
    this.tree.visit(target);
    const edges = [];
    changes.iterChangedRanges((_a, _b, start, end) => edges.push([start, end]));
    const at = edges.at(-1)?.[1] ?? 0;
    this.view.dispatch({
      changes,
      selection: quietly ? undefined : { anchor: at },
      effects: quietly ? [] : EditorView.scrollIntoView(at, { y: "nearest", yMargin: 90 }),
      annotations: origin.of("tree"),
    });
    this.head.value = target; // after the text: what follows the head marks it
    this.version.value++;
    if (!quietly) {
      this.sync.send({ move: target });
      tabs.postMessage({ document: this.id, nodes: [], before: from, head: target });
    }
  }

  undo() {
    this.commit();
    if (this.head.value === null) return false;
    this.move(this.tree.parent(this.head.value));
    return true;
  }

  redo() {
    this.commit();
    const next = this.tree.next(this.head.value);
    if (next === null) return false;
    this.move(next);
    return true;
  }

  /** Show the next or previous version of the newest passage that has several. */
  sibling(step) {
    this.commit();
    const hidden = new Set(this.settings.value.hidden ?? []);
    for (let id = this.head.value; id !== null; id = this.tree.parent(id)) {
      const all = this.tree.siblings(id).filter((one) => one === id || !hidden.has(one));
      if (all.length < 2) continue;
      this.move(this.tree.leaf(all[(all.indexOf(id) + step + all.length) % all.length]));
      return true;
    }
    return true;
  }

  /** Begin to put a stream at a place; `about` is what is known of it. */
  beginStream(at, about) {
    this.commit();
    this.#model = { at, text: "", about };
    this.#human = ChangeSet.empty(this.view.state.doc.length);
  }

  /** Put a piece of the stream into the text, with those that come within the same moment. */
  streamIn(piece) {
    this.#waiting += piece;
    this.#flushing ||= setTimeout(() => this.#flush(), FRAME);
  }

  /** Put what came where the stream is now, below the writer's edits. */
  #flush() {
    clearTimeout(this.#flushing);
    this.#flushing = 0;
    const model = this.#model;
    const piece = this.#waiting;
    this.#waiting = "";
    if (!model || !piece) return;
    const place = model.at + model.text.length;
    const inModel = asChangeSet([[place, place, piece]], this.#human.length);
    const inText = inModel.map(this.#human, true);
    this.#human = this.#human.map(inModel, false);
    model.text += piece;
    const { state } = this.view;
    const at = this.#placeIn(inText);
    const follows = state.selection.main.empty && state.selection.main.head === at;
    this.view.dispatch({
      changes: inText,
      selection: follows ? { anchor: at + piece.length } : undefined,
      scrollIntoView: follows,
      annotations: origin.of("stream"),
    });
    this.#hold();
  }

  #placeIn(changes) {
    let place = 0;
    changes.iterChanges((from) => (place = from));
    return place;
  }

  get isStreaming() {
    return this.#model !== null;
  }

  /** End the stream: what came becomes a node. */
  endStream(about) {
    if (!this.#model) return;
    this.#model.about = { ...this.#model.about, ...about };
    this.commit();
  }

  set(values) {
    this.settings.value = { ...this.settings.value, ...values };
    this.sync.send({ set: values });
  }

  /** Follow another tab that shows the same document. */
  #hear = ({ data }) => {
    if (data.document !== this.id) return;
    for (const node of data.nodes) this.tree.add(node);
    this.version.value++;
    const idle = !this.#human && !this.#model;
    if (idle && data.before === this.head.value) this.move(data.head, { quietly: true });
    else this.sync.diverged.value = true;
  };

  /** Fetch what other tabs or machines appended. */
  async refresh() {
    const found = await get(`/penwright/documents/${this.id}`);
    for (const node of found.nodes) this.tree.add(node);
    this.version.value++;
    return found.head;
  }
}

function isBreak(changes, group) {
  let text = "";
  let size = 0;
  changes.iterChanges((_a, _b, _c, _d, inserted) => (text = inserted.toString()));
  group.iterChanges((from, to, _c, _d, inserted) => (size += inserted.length + to - from));
  return text.length > 1 || text.includes("\n") || (text === " " && size > GROUP);
}
