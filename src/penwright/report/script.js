// Reads out the values under the pointer or the arrow keys, on all charts at one step.
// The page is whole without it.
"use strict";
(() => {
  const formats = {
    loss: (v) => v.toFixed(3),
    rate: (v) => String(Number(v.toPrecision(3))),
    amount: (v) => v.toPrecision(3),
    count: (v) => Math.round(v).toLocaleString("en"),
    percent: (v) => `${Math.round(v)} %`,
    memory: (v) => (v < 1000 ? `${Math.round(v)} MB` : `${(v / 1024).toFixed(1)} GB`),
  };

  // The index of the last x at or before step; 0 where there is none.
  function find(xs, step) {
    let low = 0;
    let high = xs.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (xs[middle] <= step) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  function nearest(xs, step) {
    const at = find(xs, step);
    return at + 1 < xs.length && xs[at + 1] - step < step - xs[at] ? at + 1 : at;
  }

  function readChart(figure) {
    const { across, last, unit, lines } = JSON.parse(figure.querySelector("script").textContent);
    const readOut = figure.querySelector(".read-out");
    const areas = [...figure.querySelectorAll(".area")].map((area) => {
      const cross = area.appendChild(document.createElement("i"));
      cross.className = "cross";
      cross.hidden = true;
      return { area, cross, isStretched: area.classList.contains("stretched") };
    });
    return { across, last, unit, lines, areas, readOut, rest: readOut.textContent };
  }

  function share(chart, step, isStretched) {
    return isStretched
      ? Math.log1p(step / chart.unit) / Math.log1p(chart.last / chart.unit)
      : step / chart.last;
  }

  function stepAt(chart, part, isStretched) {
    const inside = Math.min(1, Math.max(0, part));
    return isStretched
      ? chart.unit * Math.expm1(inside * Math.log1p(chart.last / chart.unit))
      : inside * chart.last;
  }

  function say(chart, step) {
    const said = [`${chart.across} ${step.toLocaleString("en")}`];
    for (const line of chart.lines) {
      const at = line.sparse ? find(line.x, step) : nearest(line.x, step);
      if (line.x[at] > step && line.sparse) continue;
      const value = line.y[at];
      const words = value === null ? "not a number" : formats[line.format](value);
      const when = line.sparse && line.x[at] !== step ? ` (${chart.across} ${line.x[at].toLocaleString("en")})` : "";
      const also = line.sparse && value !== null ? `, perplexity ${Math.exp(value).toPrecision(3)}` : "";
      said.push(chart.lines.length > 1 ? `${line.name} ${words}${also}${when}` : words);
    }
    return said.join(" · ");
  }

  const charts = [...document.querySelectorAll("figure.chart")].map(readChart);

  function show(step) {
    for (const chart of charts) {
      const inside = Math.min(step, chart.last);
      for (const { cross, isStretched } of chart.areas) {
        cross.style.left = `${100 * share(chart, inside, isStretched)}%`;
        cross.hidden = false;
      }
      chart.readOut.textContent = say(chart, inside);
    }
  }

  function hide() {
    for (const chart of charts) {
      for (const { cross } of chart.areas) cross.hidden = true;
      chart.readOut.textContent = chart.rest;
    }
  }

  function listen(chart, { area, isStretched }) {
    const steps = chart.lines.reduce((most, line) => (line.x.length > most.length ? line.x : most), []);
    let step = 0;

    function go(to) {
      step = Math.max(0, Math.min(chart.last, to));
      show(step);
      area.setAttribute("aria-valuenow", step);
      area.setAttribute("aria-valuetext", chart.readOut.textContent);
    }

    area.tabIndex = 0;
    area.setAttribute("role", "slider");
    area.setAttribute("aria-valuemin", 0);
    area.setAttribute("aria-valuemax", chart.last);
    area.setAttribute("aria-valuenow", 0);
    area.addEventListener("pointermove", (event) => {
      const box = area.getBoundingClientRect();
      const wanted = stepAt(chart, (event.clientX - box.left) / box.width, isStretched);
      go(steps[nearest(steps, wanted)]);
    });
    area.addEventListener("pointerleave", hide);
    area.addEventListener("blur", hide);
    area.addEventListener("keydown", (event) => {
      const at = nearest(steps, step);
      const far = Math.max(1, Math.round(steps.length / 20));
      const moves = { ArrowLeft: -1, ArrowRight: 1, PageDown: -far, PageUp: far, Home: -at, End: steps.length };
      if (!(event.key in moves)) return;
      event.preventDefault();
      go(steps[Math.max(0, Math.min(steps.length - 1, at + moves[event.key]))]);
    });
  }

  for (const chart of charts) for (const area of chart.areas) listen(chart, area);
})();
