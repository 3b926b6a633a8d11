// The tree of a document as an outline: walk, compare and hide branches.
import { html, nothing } from "../vendor/lit.js";
import { signal } from "../vendor/signals.js";
import { closeDialog, iconButton, openDialog, tick } from "../ui.js";

const ROW = 46; // pixels; CSS gives rows this height
const scroll = signal({ top: 0, height: 800 });
const showsHidden = signal(false);

const hiddenOf = (session) => new Set(session.settings.value.hidden ?? []);

/** The runs of nodes between two forks: [{first, last, depth, nodes}], in the tree's order. */
export function outline(tree, hidden = new Set()) {
  const rows = [];
  const stack = [...tree.children.get(null)].reverse().map((id) => [id, 0]);
  while (stack.length) {
    const [first, depth] = stack.pop();
    if (hidden.has(first)) continue;
    let last = first;
    let nodes = 1;
    let below = tree.children.get(last);
    while (below.length === 1 && !hidden.has(below[0])) {
      last = below[0];
      nodes++;
      below = tree.children.get(last);
    }
    rows.push({ first, last, depth, nodes });
    for (const id of [...below].reverse()) stack.push([id, depth + (below.length > 1 ? 1 : 0)]);
  }
  return rows;
}

function excerpt(tree, { first, last }) {
  let text = "";
  const length = tree.path(last).length;
  for (const node of tree.path(last).slice(tree.path(first).length - 1, length)) {
    text += node.changes.map((change) => change[2]).join(" ");
    if (text.length > 90) break;
  }
  return text.replace(/\s+/g, " ").trim() || "(text taken out)";
}

export function branches(session) {
  session.version.value; // draw again when the tree changes
  const { tree } = session;
  const hidden = showsHidden.value ? new Set() : hiddenOf(session);
  const rows = outline(tree, hidden);
  const onPath = new Set(tree.path(session.head.value).map((node) => node.id));
  const { top, height } = scroll.value;
  const from = Math.max(0, Math.floor(top / ROW) - 4);
  const shown = rows.slice(from, from + Math.ceil(height / ROW) + 8);
  return html`<div class="row small soft branch-head">
      <span>${rows.length.toLocaleString()} ${rows.length === 1 ? "branch" : "branches"}</span>
      <span class="spacer"></span>
      ${iconButton("up", "Previous version", () => session.sibling(-1))} ${iconButton("down", "Next version", () => session.sibling(1))}
      ${hiddenOf(session).size
        ? tick("hidden ones", showsHidden.value, (on) => (showsHidden.value = on))
        : nothing}
    </div>
    <div
      class="branches"
      tabindex="0"
      role="group"
      aria-label="Branches"
      @scroll=${({ target }) => (scroll.value = { top: target.scrollTop, height: target.clientHeight })}
    >
      <svg class="branches-size" width="1" height=${Math.max(1, rows.length * ROW)} aria-hidden="true"></svg>
      <svg class="branches-lead" width="1" height=${from * ROW} aria-hidden="true"></svg>
      ${shown.map((row) => branchRow(session, row, onPath))}
    </div>
    ${rows.length ? nothing : html`<p class="soft">Every change and every text of the model becomes a branch here.</p>`}`;
}

function branchRow(session, row, onPath) {
  const { tree } = session;
  const node = tree.nodes.get(row.first);
  const isOn = onPath.has(row.first);
  const isHidden = hiddenOf(session).has(row.first);
  return html`<div class="branch ${isOn ? "on" : ""} ${isHidden ? "pruned" : ""}">
    <svg width=${11 * Math.min(row.depth, 8)} height="1" aria-hidden="true"></svg>
    <button
      class="branch-text"
      aria-current=${isOn ? "true" : "false"}
      title="${new Date(node.time).toLocaleString()}, ${row.nodes} ${row.nodes === 1 ? "step" : "steps"}"
      @click=${() => session.move(isOn && onPath.has(row.last) ? row.last : tree.leaf(row.last))}
    >
      <span class="who ${node.author}"></span>
      <span class="excerpt">${excerpt(tree, row)}</span>
    </button>
    ${isOn ? nothing : iconButton("compare", "Compare with the text that is shown", () => compare(session, row.last))}
    ${iconButton(isHidden ? "plus" : "minus", isHidden ? "Show again" : "Hide this branch; nothing is deleted", () => hide(session, row.first, !isHidden))}
  </div>`;
}

function hide(session, id, value) {
  const hidden = hiddenOf(session);
  if (value) hidden.add(id);
  else hidden.delete(id);
  session.set({ hidden: [...hidden] });
  const isShown = session.tree.path(session.head.value).some((node) => node.id === id);
  if (value && isShown) session.move(session.tree.parent(id));
  session.version.value++;
}

function compare(session, id) {
  session.commit();
  const shown = session.head.value;
  const [a, b] = [shown, id].map((one) => session.tree.textOf(one).toString());
  let same = 0;
  while (same < Math.min(a.length, b.length) && a[same] === b[same]) same++;
  let tail = 0;
  while (tail < Math.min(a.length, b.length) - same && a.at(-1 - tail) === b.at(-1 - tail)) tail++;
  const before = a.slice(Math.max(0, same - 120), same).replace(/^\S*\s+/, "");
  const side = (text, node) => html`<section>
    <p class="compared"><span class="soft">${before}</span>${text.slice(same, text.length - tail)}<span class="soft">${text.slice(text.length - tail).slice(0, 120)}</span></p>
    <button @click=${() => (closeDialog(), session.move(node), session.view.focus())}>Write on with this</button>
  </section>`;
  openDialog("Two branches; the left one is shown", () => html`<div class="side-by-side">${side(a, shown)}${side(b, id)}</div>`);
}
