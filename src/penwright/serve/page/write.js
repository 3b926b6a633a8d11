// The Write view.
import { html } from "./vendor/lit.js";
import { mount } from "./ui.js";

export const show = (element) => mount(element, () => html`<p class="page-note">Soon.</p>`);
