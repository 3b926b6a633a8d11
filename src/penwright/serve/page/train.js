// The Train view.
import { html } from "./vendor/lit.js";
import { mount } from "./ui.js";

export const show = (element) =>
  mount(
    element,
    () => html`<article class="reading">
      <h1>Train</h1>
      <p>Train a model on your own text with <code>penwright finetune my-texts/</code>.</p>
    </article>`,
  );
