// The tree of a document: every text that ever was, as changes from its parent. Nothing is removed.
//
// A node is {id, parent, changes, author, time, ...}; `changes` are [from, to, text] in the parent's
// text, ascending. The root is null, the empty text.
import { ChangeSet, Text } from "../vendor/codemirror.js";

const EMPTY = Text.of([""]);

export const asText = (string) => Text.of(string.split("\n"));
export const asChangeSet = (changes, length) =>
  ChangeSet.of(
    changes.map(([from, to, insert]) => ({ from, to, insert })),
    length,
    "\n",
  );

/** The changes of a set as [from, to, text]. */
export function asChanges(set) {
  const changes = [];
  set.iterChanges((from, to, _a, _b, text) => changes.push([from, to, text.toString()]));
  return changes;
}

export const newId = () => crypto.getRandomValues(new Uint32Array(4)).reduce(
  (id, part) => id + part.toString(36).padStart(7, "0"),
  "",
);

export class Tree {
  nodes = new Map();
  children = new Map([[null, []]]);
  #last = new Map(); // the child of a node that was shown last
  #texts = new Map([[null, EMPTY]]);

  constructor(nodes, head, text) {
    for (const node of nodes) this.add(node);
    if (text !== undefined) this.#texts.set(head, asText(text));
    this.visit(head);
  }

  add(node) {
    if (this.nodes.has(node.id)) return false;
    this.nodes.set(node.id, node);
    this.children.set(node.id, []);
    this.children.get(node.parent ?? null)?.push(node.id);
    return true;
  }

  /** Note that a node is shown: redo leads back to it. */
  visit(id) {
    for (let node = this.nodes.get(id); node; node = this.nodes.get(node.parent))
      this.#last.set(node.parent, node.id);
  }

  parent = (id) => this.nodes.get(id)?.parent ?? null;
  /** The child that redo shows. */
  next = (id) => this.#last.get(id) ?? this.children.get(id)?.at(-1) ?? null;
  siblings = (id) => (id === null ? [] : this.children.get(this.parent(id)));

  /** The nodes from the root to a node. */
  path(id) {
    const path = [];
    for (let node = this.nodes.get(id); node; node = this.nodes.get(node.parent)) path.push(node);
    return path.reverse();
  }

  textOf(id) {
    const missing = [];
    let at = id;
    for (; !this.#texts.has(at); at = this.parent(at)) missing.push(at);
    let text = this.#texts.get(at);
    for (const next of missing.reverse()) {
      text = asChangeSet(this.nodes.get(next).changes, text.length).apply(text);
      this.#texts.set(next, text); // texts share what they have in common
    }
    return text;
  }

  /** The changes from the text of one node to that of another. */
  between(from, to) {
    const above = new Set([null]);
    for (let at = from; at !== null; at = this.parent(at)) above.add(at);
    const down = [];
    let at = to;
    for (; !above.has(at); at = this.parent(at)) down.push(at);
    let changes = ChangeSet.empty(this.textOf(from).length);
    for (let up = from; up !== at; up = this.parent(up)) {
      const before = this.textOf(this.parent(up));
      changes = changes.compose(this.#changes(up, before).invert(before));
    }
    for (const next of down.reverse()) {
      changes = changes.compose(this.#changes(next, this.textOf(this.parent(next))));
    }
    return changes;
  }

  #changes = (id, before) => asChangeSet(this.nodes.get(id).changes, before.length);

  /** What a model wrote of a node's text, as [from, to, node] ascending. */
  written(id) {
    let ranges = [];
    for (const node of this.path(id)) ranges = mapRanges(ranges, node);
    return ranges;
  }

  /** The newest node below this one, along what was shown last. */
  leaf(id) {
    for (let next = this.next(id); next !== null; next = this.next(id)) id = next;
    return id;
  }
}

function mapRanges(ranges, node) {
  for (const [from, to, text] of [...node.changes].reverse()) {
    const shift = text.length - (to - from);
    const mapped = [];
    const added = node.author === "model" && text ? [from, from + text.length, node] : null;
    for (const [start, end, owner] of ranges) {
      if (end <= from) mapped.push([start, end, owner]);
      else if (start >= to) mapped.push([start + shift, end + shift, owner]);
      else {
        if (start < from) mapped.push([start, from, owner]);
        if (end > to) mapped.push([to + shift, end + shift, owner]);
      }
    }
    if (added) mapped.push(added);
    ranges = mapped.sort((a, b) => a[0] - b[0]);
  }
  return ranges;
}
