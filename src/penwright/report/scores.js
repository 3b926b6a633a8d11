// Shows what the model expected at the token under the pointer, a tap or the arrow keys.
// The colours are there without it.
"use strict";
(() => {
  const panel = document.querySelector("aside.token");
  const percent = (p) => `${Number((100 * p).toPrecision(3))} %`;
  const show = (text) => JSON.stringify(text).slice(1, -1);
  let here = null;

  function put(parent, name, text) {
    const made = parent.appendChild(document.createElement(name));
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function tell(block, data, span) {
    const number = [...block.children].indexOf(span) - 1;
    const found = data.tokens[number];
    if (here) here.classList.remove("here");
    here = span;
    here.classList.add("here");
    panel.hidden = false;
    panel.replaceChildren();
    put(panel, "b", show(span.textContent));
    if (!found) {
      panel.append(" is context: it is not scored.");
      return;
    }
    const [p, rank, surprise, entropy, best] = found;
    panel.append(
      ` ${percent(p)} · rank ${rank.toLocaleString("en")} · surprise ${surprise} bits, ` +
        `entropy ${entropy} bits`,
    );
    const list = put(panel, "ol");
    for (const [word, share] of best) {
      const row = put(list, "li");
      put(row, "i").style.width = `${Math.max(0.5, 100 * share)}%`;
      put(row, "code", show(data.words[word]));
      put(row, "span", percent(share));
    }
  }

  for (const block of document.querySelectorAll(".scored")) {
    const data = JSON.parse(block.querySelector("script").textContent);
    const point = (event) => {
      if (event.target.matches(".scored > span")) tell(block, data, event.target);
    };
    block.addEventListener("pointerover", point);
    block.addEventListener("click", point);
    block.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const spans = [...block.querySelectorAll("span:not([hidden])")];
      const at = spans.indexOf(here) < 0 ? 0 : spans.indexOf(here) + step;
      tell(block, data, spans[Math.min(spans.length - 1, Math.max(0, at))]);
    });
  }
})();
