// The About view: the models that are loaded, and what their text is.
import { html } from "./vendor/lit.js";
import { models } from "./shell.js";
import { mount } from "./ui.js";

export const show = (element) => mount(element, about);

const about = () => html`<article class="reading">
  <h1>About</h1>
  <p>
    Penwright writes with models that learned from text that you chose. What a model writes is
    machine-written: it is no statement of fact, it may repeat its training text word for word, and
    every file of it that Penwright makes says so.
  </p>
  <h2>Models</h2>
  <dl class="facts">
    ${models.value.map(
      (one) => html`<div>
        <dt>${one.id}</dt>
        <dd>reads ${one.max_model_len.toLocaleString()} tokens at a time</dd>
      </div>`,
    )}
  </dl>
  <h2>Your text</h2>
  <p>
    Documents stay on this machine, in the folder that the server was given. Nothing is sent to the
    internet, and nothing that you or a model wrote is ever deleted: undo, retry and pruning only
    hide it.
  </p>
</article>`;
