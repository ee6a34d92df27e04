// Sort tables by their headings, and show one source alone. Without it the page says the same.
"use strict";
const all = (query, where = document) => [...where.querySelectorAll(query)];
const value = (row, place) => row.cells[place].dataset.v ?? row.cells[place].textContent.trim();

for (const table of all("table.sortable")) {
  const body = table.tBodies[0];
  all("thead th", table).forEach((head, place) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const numeric = head.classList.contains("n");
      const down = head.ariaSort ? head.ariaSort === "ascending" : numeric;  // the largest number first
      all("thead th", table).forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const order = numeric
        ? (a, b) => (Number(value(a, place)) || 0) - (Number(value(b, place)) || 0)
        : (a, b) => value(a, place).localeCompare(value(b, place));
      body.append(...[...body.rows].sort((a, b) => (down ? -1 : 1) * order(a, b)));
    });
  });
}

function draw(chart, source) {
  const series = JSON.parse(chart.dataset.series), height = Number(chart.dataset.height);
  const shown = source ? [series[source] ?? [[], []]] : Object.values(series);
  const sum = side => place => shown.reduce((total, counts) => total + (counts[side][place] ?? 0), 0);
  const kept = all("rect.kept", chart), out = all("rect.out", chart);
  const most = Math.max(1, ...kept.map((_, place) => sum(0)(place) + sum(1)(place)));
  kept.forEach((bar, place) => {
    const inside = sum(0)(place), outside = sum(1)(place), high = inside * height / most, more = outside * height / most;
    bar.setAttribute("y", height - high);
    bar.setAttribute("height", high);
    const title = bar.firstElementChild, range = title.textContent.split(": ")[0];
    title.textContent = `${range}: ${inside.toLocaleString("en")} kept, ${outside.toLocaleString("en")} removed`;
    if (out[place]) {
      out[place].setAttribute("y", height - high - more);
      out[place].setAttribute("height", more);
      out[place].firstElementChild.textContent = title.textContent;
    }
  });
  chart.querySelector(".most").textContent = `most: ${most.toLocaleString("en")}`;
}

const choice = document.querySelector("#source");
if (choice) {
  choice.parentElement.hidden = false;
  choice.addEventListener("change", () => {
    const source = choice.value;
    document.body.classList.toggle("filtered", source !== "");
    for (const item of all("[data-source]")) item.hidden = source !== "" && item.dataset.source !== source;
    for (const chart of all("svg.histogram")) draw(chart, source);
    const steps = all(".funnel li").map(step => [step, JSON.parse(step.dataset.counts)]);
    const first = source ? steps[0]?.[1][source] || 1 : 0;
    for (const [step, counts] of steps) {
      const count = source ? counts[source] ?? 0 : Object.values(counts).reduce((a, b) => a + b, 0);
      const total = first || Object.values(steps[0][1]).reduce((a, b) => a + b, 0) || 1;
      step.querySelector(".n").textContent = `${count.toLocaleString("en")} (${(100 * count / total).toFixed(1)}%)`;
      for (const bar of all("i", step)) bar.style.width = `${100 * (counts[bar.dataset.source] ?? 0) / total}%`;
    }
  });
}
