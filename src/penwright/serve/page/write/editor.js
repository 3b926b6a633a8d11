// The editor: CodeMirror with our own undo, and marks for who wrote what, surprise and copies.
import {
  Decoration,
  drawSelection,
  EditorState,
  EditorView,
  defaultKeymap,
  hoverTooltip,
  keymap,
  placeholder,
  Prec,
  search,
  searchKeymap,
  StateEffect,
  StateField,
  WidgetType,
} from "../vendor/codemirror.js";
import { html, render } from "../vendor/lit.js";
import { origin } from "./session.js";

/** A layer of marks over the text that moves with edits; `set` replaces them. */
function layer(grow = null) {
  const set = StateEffect.define();
  const field = StateField.define({
    create: () => Decoration.none,
    update(marks, transaction) {
      for (const effect of transaction.effects) {
        if (effect.is(set)) return effect.value;
      }
      const moved = transaction.docChanged ? marks.map(transaction.changes) : marks;
      return grow ? grow(moved, transaction) : moved;
    },
    provide: (it) => EditorView.decorations.from(it),
  });
  return { set, field };
}

/** Mark what streams in as the model's at once. */
function markStream(marks, transaction) {
  if (transaction.annotation(origin) !== "stream") return marks;
  const add = [];
  transaction.changes.iterChangedRanges((_a, _b, from, to) => from < to && add.push(mark(from, to, "by-model")));
  return marks.update({ add });
}

/** The model's text, surprise, copies, what fell out of the window, and the suggestion. */
export const layers = {
  author: layer(markStream),
  surprise: layer(),
  copied: layer(),
  fallen: layer(),
  ghost: layer(),
};

export const setLayer = (view, name, marks) =>
  view.dispatch({ effects: layers[name].set.of(Decoration.set(marks, true)) });

export const mark = (from, to, name, spec = {}) =>
  Decoration.mark({ class: name, ...spec }).range(from, to);

class Ghost extends WidgetType {
  constructor(text) {
    super();
    this.text = text;
  }
  eq(other) {
    return other.text === this.text;
  }
  toDOM() {
    const element = document.createElement("span");
    element.className = "ghost";
    element.textContent = this.text;
    return element;
  }
}

/** Show a suggestion in the text, without putting it there; scrolls to where one appears. */
export function showGhost(view, at, text) {
  const wasShown = view.state.field(layers.ghost.field).size > 0;
  const marks = text ? [Decoration.widget({ widget: new Ghost(text), side: 1 }).range(at)] : [];
  if (!text && !wasShown) return;
  setLayer(view, "ghost", marks);
  if (text && !wasShown) scrollTo(view, at);
}

export const scrollTo = (view, at) =>
  view.dispatch({ effects: EditorView.scrollIntoView(at, { y: "nearest", yMargin: 110 }) });

/** The copied span at a place: {from, to, span}, or null. */
export function copiedAt(view, at) {
  let found = null;
  view.state.field(layers.copied.field).between(at, at, (from, to, value) => {
    found = { from, to, span: value.spec.span };
    return false;
  });
  return found;
}

export const sourceOf = ({ source, tokens, before, after }) => html`<strong>${tokens} tokens, word for word as in ${source}</strong>
  <p>... ${before.slice(-90).replace(/^\S*\s/, "")} [...] ${after.slice(0, 90).replace(/\s\S*$/, "")} ...</p>`;

const sourceTooltip = hoverTooltip((view, at) => {
  const found = copiedAt(view, at);
  if (!found) return null;
  const dom = document.createElement("div");
  dom.className = "tooltip";
  render(sourceOf(found.span), dom);
  return { pos: found.from, end: found.to, above: true, create: () => ({ dom }) };
});

/** Make the editor of a session in `parent`. `commands` are [key, what it does, function] of our own. */
export function makeEditor(parent, session, { commands, onUpdate, onClick }) {
  const bindings = commands.filter(([, , run]) => run).map(([key, , run]) => ({
    key,
    run: () => run() !== false,
  }));
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: session.text,
      extensions: [
        EditorState.lineSeparator.of("\n"),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({
          "aria-label": "Text",
          spellcheck: "true",
          tabindex: "0",
          autocapitalize: "sentences",
        }),
        // A blinking cursor is an animation: each key would wait for its next frame.
        drawSelection({ cursorBlinkRate: 0 }),
        placeholder("Write, or press Continue and see what the model begins with."),
        search({ top: true }),
        sourceTooltip,
        Object.values(layers).map((one) => one.field),
        Prec.high(keymap.of(bindings)),
        keymap.of([...searchKeymap, ...defaultKeymap]),
        EditorView.domEventHandlers({
          beforeinput(event) {
            if (event.inputType === "historyUndo") session.undo();
            else if (event.inputType === "historyRedo") session.redo();
            else return false;
            event.preventDefault();
            return true;
          },
          click: (event, editor) => void onClick(event, editor),
        }),
        EditorView.updateListener.of((update) => {
          for (const transaction of update.transactions) session.receive(transaction);
          onUpdate(update);
        }),
      ],
    }),
  });
  session.view = view;
  return view;
}
