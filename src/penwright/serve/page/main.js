// Start the page: take the token, draw the shell, show the view that the address names.
//
// A view is a module with `show(element)`, which returns a function that ends it, or nothing.
import { html } from "./vendor/lit.js";
import { takeToken, waitForToken } from "./api.js";
import { header, loadModels, showShortcuts, view, VIEWS } from "./shell.js";
import { fail, mount, overlay, showModals } from "./ui.js";

const main = document.getElementById("view");
let leave = null;

async function route() {
  const [name] = location.hash.slice(1).split("/");
  const next = name in VIEWS ? name : "write";
  if (next === view.value && leave) return;
  leave?.();
  leave = () => {};
  view.value = next;
  document.title = `${VIEWS[next].title} - Penwright`;
  main.className = `view-${next}`;
  main.replaceChildren();
  // A container of its own: what a view rendered goes with it.
  const element = main.appendChild(document.createElement("div"));
  element.className = "view";
  try {
    const { show } = await VIEWS[next].load();
    if (!element.isConnected) return; // another view was chosen meanwhile
    const end = await show(element);
    if (element.isConnected) leave = end ?? leave;
    else end?.();
  } catch (error) {
    fail(error);
  }
}

document.addEventListener("keydown", (event) => {
  if (event.key === "F1") showShortcuts();
  else if (event.altKey && "123".includes(event.key) && !event.ctrlKey)
    location.hash = Object.keys(VIEWS)[Number(event.key) - 1];
  else return;
  event.preventDefault();
});

addEventListener("hashchange", () => takeToken() && location.reload());
takeToken();
mount(document.getElementById("header"), header);
mount(document.getElementById("overlay"), () => {
  queueMicrotask(showModals);
  return overlay();
});
const stopNote = mount(
  main,
  () => html`<p class="page-note late">
    Open the address that <code>penwright serve</code> prints: it ends with <code>#token=</code> and
    the key to your documents.
  </p>`,
);
await waitForToken();
stopNote();
loadModels().catch(fail);
addEventListener("hashchange", route);
route();
