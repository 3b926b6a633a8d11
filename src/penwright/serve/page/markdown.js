// The little Markdown that model cards use, as text nodes: nothing in a card becomes markup.
import { html } from "./vendor/lit.js";

/** Templates of a text: headings, lists, tables, code, paragraphs. Front matter is left out. */
export function markdown(text) {
  const lines = text.replace(/\r\n?/g, "\n").replace(/^---\n[\s\S]*?\n---\n/, "").split("\n");
  const blocks = [];
  while (lines.length) {
    const take = (test) => {
      const found = [];
      while (lines.length && test(lines[0])) found.push(lines.shift());
      return found;
    };
    if (/^```/.test(lines[0])) {
      lines.shift();
      const code = take((line) => !/^```/.test(line));
      lines.shift();
      blocks.push(html`<pre tabindex="0"><code>${code.join("\n")}</code></pre>`);
    } else if (/^#/.test(lines[0])) {
      const [, marks, title] = lines.shift().match(/^(#+)\s*(.*)/);
      blocks.push(marks.length < 2 ? html`<h3 class="card-title">${title}</h3>` : html`<h4>${title}</h4>`);
    } else if (/^[-*] /.test(lines[0])) {
      blocks.push(
        html`<ul>${take((line) => /^[-*] /.test(line)).map((line) => html`<li>${inline(line.slice(2))}</li>`)}</ul>`,
      );
    } else if (/^\|/.test(lines[0])) {
      blocks.push(table(take((line) => /^\|/.test(line))));
    } else if (lines[0].trim() === "") {
      lines.shift();
    } else {
      const [first, ...rest] = [lines.shift(), ...take((line) => /^[^#|\-*`\s]/.test(line))];
      blocks.push(html`<p>${inline([first, ...rest].join(" "))}</p>`);
    }
  }
  return blocks;
}

function table(lines) {
  const cells = (line) => line.replace(/^\||\|\s*$/g, "").split(/(?<!\\)\|/).map((cell) => cell.replace("\\|", "|").trim());
  const [head, , ...rows] = lines.map(cells);
  return html`<table>
    <thead><tr>${head.map((cell) => html`<th scope="col">${inline(cell)}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${inline(cell)}</td>`)}</tr>`)}</tbody>
  </table>`;
}

const inline = (text) =>
  text.split(/(\*\*[^*]+\*\*|`[^`]+`)/).map((part) => {
    if (/^\*\*.+\*\*$/.test(part)) return html`<strong>${part.slice(2, -2)}</strong>`;
    if (/^`.+`$/.test(part)) return html`<code>${part.slice(1, -1)}</code>`;
    return part;
  });
