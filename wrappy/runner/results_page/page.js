"use strict";
const told = JSON.parse(document.getElementById("told").textContent);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const painted = (value) => {
  // "@good" stands for the page's colour of that name.
  if (typeof value === "string") return value[0] === "@" ? colour(value.slice(1)) : value;
  if (Array.isArray(value)) return value.map(painted);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, painted(inner)]));
  return value;
};

function draw() {
  const isNarrow = matchMedia("(max-width: 760px)").matches;
  for (const chart of told.charts) {
    const layout = painted(chart.layout);
    const axes = Object.keys(layout).filter((key) => /^[xy]axis/.test(key));
    for (const key of axes) Object.assign(layout[key], { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line") });
    if (isNarrow) Object.assign(layout, { height: Math.round(layout.height * 0.8) });
    Object.assign(layout, {
      paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: colour("soft"), size: 11.5, family: "system-ui, sans-serif" },
      modebar: { bgcolor: "transparent", color: colour("faint"), activecolor: colour("mark") },
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
    });
    Plotly.react(chart.place, painted(chart.traces), layout, { responsive: true, displaylogo: false, showSendToCloud: false, displayModeBar: isNarrow || chart.place === "heat" ? false : "hover" });
  }
}

const PAGE = 25;
// A small loss is no "-0.00".
const cents = (value) => value.toFixed(2).replace(/^-(0\.00)$/, "$1");
function cell(kind, value) {
  const made = document.createElement("td");
  if (kind === "text") made.className = "left";
  if (value === null) { made.textContent = "-"; return made; }
  if (kind === "time") made.textContent = new Date(value).toISOString().slice(0, 19).replace("T", " ");
  else if (kind === "span") made.textContent = value < 3600 ? (value / 60).toFixed(1) + " min" : value < 86400 ? (value / 3600).toFixed(1) + " h" : (value / 86400).toFixed(1) + " d";
  else if (kind === "text" || kind === "whole") made.textContent = value;
  else {
    made.textContent = kind === "percent" || kind === "share" ? cents(value) + "%" : cents(value);
    if (kind === "profit" || kind === "percent") made.className = value > 0 ? "good" : value < 0 ? "bad" : "";
  }
  return made;
}

function grid({ place, columns, rows }) {
  const root = document.getElementById(place);
  const head = root.querySelector("thead"), body = root.querySelector("tbody"), pager = root.querySelector(".pager");
  let sorted = rows, by = 0, isUp = true, page = 0;
  const line = document.createElement("tr");
  columns.forEach(([name, kind, hint], at) => {
    const th = document.createElement("th"), button = document.createElement("button");
    if (kind === "text") th.className = "left";
    button.textContent = name; button.title = hint || "sort";
    button.addEventListener("click", () => {
      isUp = by === at ? !isUp : kind === "text" || at === 0; by = at; page = 0;
      const sign = isUp ? 1 : -1;
      sorted = [...rows].sort((a, b) => {
        const [x, y] = [a[at], b[at]];
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (x < y ? -1 : x > y ? 1 : 0);
      });
      show();
    });
    th.append(button); line.append(th);
  });
  head.append(line);
  const [back, where, next] = pager.children;
  back.addEventListener("click", () => { page -= 1; show(); });
  next.addEventListener("click", () => { page += 1; show(); });
  function show() {
    [...line.children].forEach((th, at) => { if (at === by) th.setAttribute("aria-sort", isUp ? "ascending" : "descending"); else th.removeAttribute("aria-sort"); });
    const begin = page * PAGE, end = Math.min(begin + PAGE, sorted.length);
    body.replaceChildren(...sorted.slice(begin, end).map((row) => { const tr = document.createElement("tr"); tr.append(...columns.map(([, kind], at) => cell(kind, row[at]))); return tr; }));
    where.textContent = sorted.length ? `${begin + 1} to ${end} of ${sorted.length}` : "none";
    back.disabled = page === 0; next.disabled = end >= sorted.length; pager.hidden = sorted.length <= PAGE;
  }
  show();
}

told.grids.forEach(grid);
draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
