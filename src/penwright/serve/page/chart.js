// Line charts as SVG, drawn like those of the reports, at the width that they are given.
import { html, nothing, svg } from "./vendor/lit.js";
import { signal } from "./vendor/signals.js";

const LEFT = 44;
const RIGHT = 10;
const TOP = 12;
const BOTTOM = 24;
const MOST_POINTS = 1000;

/** Where the pointer is: {title, step}, or null. */
const pointer = signal(null);

/** At most `count` round numbers between two others. */
export function ticks(low, high, count = 5) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(span / count));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => span / size <= count);
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high; at++)
    found.push(Number((at * step).toPrecision(12)));
  return found;
}

export function short(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  if (size && size < 0.01) return value.toExponential(1).replace("e-", "e−");
  return Number(value.toPrecision(3)).toLocaleString();
}

/** Fewer points: of each stretch the lowest and the highest, so that no peak is lost. */
export function thin(points, most = MOST_POINTS) {
  if (points.length <= most) return points;
  const size = Math.ceil((2 * points.length) / most);
  const kept = [];
  for (let at = 0; at < points.length; at += size) {
    const part = points.slice(at, at + size).sort((a, b) => a[1] - b[1]);
    const ends = [part[0], part[part.length - 1]].sort((a, b) => a[0] - b[0]);
    kept.push(...(ends[0] === ends[1] ? [ends[0]] : ends));
  }
  return kept;
}

/** A running mean that follows about a twentieth of the points, and at least five. */
export function smooth(points) {
  const share = 2 / (Math.max(5, points.length / 20) + 1);
  let mean = points[0]?.[1];
  return points.map(([step, value]) => [step, (mean += share * (value - mean))]);
}

/**
 * A figure of `lines`, [{name, kind, points, marked}], with `kind` a class of style.css and points
 * [step, value]. `from` is where the values begin, else it follows from them.
 */
export function chart({ title, summary, lines, width, height, from, last, legend = false }) {
  const shown = lines.filter((line) => line.points.length);
  const calm = shown.filter((line) => line.kind !== "raw"); // a wild step does not set the frame
  const values = (calm.length ? calm : shown).flatMap((line) => line.points.map(([, y]) => y));
  if (!values.length || width < 100) return nothing;
  let low = from ?? values.reduce((a, b) => Math.min(a, b));
  let high = values.reduce((a, b) => Math.max(a, b));
  const room = (high - low) * 0.06 || Math.abs(high) * 0.06 || 1;
  [low, high] = [from ?? low - room, high + room];
  const end = Math.max(1, last ?? 0, ...shown.map((line) => line.points[line.points.length - 1][0]));
  const [right, bottom] = [width - RIGHT, height - BOTTOM];
  const x = (step) => LEFT + (step / end) * (right - LEFT);
  const y = (value) =>
    Math.min(bottom, Math.max(TOP, bottom - ((value - low) / (high - low)) * (bottom - TOP)));
  const at = pointer.value?.title === title ? pointer.value.step : null;

  const move = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const step = ((event.clientX - box.left - LEFT) / (right - LEFT)) * end;
    pointer.value = { title, step: Math.min(end, Math.max(0, step)) };
  };
  return html`<figure class="chart">
    <figcaption><h3>${title}</h3>${legend ? keyOf(shown) : nothing}</figcaption>
    <svg
      viewBox="0 0 ${width} ${height}" width=${width} height=${height}
      role="img" aria-label="${title}. ${summary}"
      @pointermove=${move} @pointerleave=${() => (pointer.value = null)}
    >
      ${ticks(low, high, height > 150 ? 5 : 3).map(
        (tick) => svg`<path class="grid" d="M${LEFT} ${y(tick)}H${right}" />
          <text x=${LEFT - 8} y=${y(tick) + 4} text-anchor="end">${short(tick)}</text>`,
      )}
      ${ticks(0, end, width > 500 ? 8 : 4).filter(Number.isInteger).map(
        (tick) => svg`<text x=${x(tick)} y=${height - 6} text-anchor=${x(tick) > right - 20 ? "end" : "middle"}>${short(tick)}</text>`,
      )}
      ${shown.map((line) => drawLine(line, x, y))}
      ${at === null ? nothing : svg`<path class="cursor" d="M${x(at)} ${TOP}V${bottom}" />`}
    </svg>
    <p class="read-out">${at === null ? summary : readOut(shown, at)}</p>
  </figure>`;
}

function drawLine({ kind, points, marked }, x, y) {
  const path = thin(points).map(([step, value]) => `${x(step).toFixed(1)} ${y(value).toFixed(1)}`);
  return svg`<path class="line ${kind}" d="M${path.join("L")}" />
    ${marked && points.length <= 80 ? svg`<path class="marks ${kind}" d="M${path.join("h0M")}h0" />` : nothing}`;
}

const keyOf = (lines) => html`<ul class="legend">
  ${lines.map(
    ({ name, kind, marked }) => html`<li>
      <svg viewBox="0 0 28 12" width="28" height="12" aria-hidden="true">
        <path class="line ${kind}" d="M1 6H27" />
        ${marked ? svg`<path class="marks ${kind}" d="M14 6h0" />` : nothing}
      </svg>${name}
    </li>`,
  )}
</ul>`;

function readOut(lines, step) {
  const found = lines
    .filter((line) => line.kind !== "raw" || lines.length === 1)
    .map(({ name, points }) => {
      const near = points.reduce((a, b) => (Math.abs(b[0] - step) < Math.abs(a[0] - step) ? b : a));
      return `${name} ${short(near[1])}`;
    });
  return `Step ${Math.round(step).toLocaleString()}: ${found.join(", ")}`;
}
