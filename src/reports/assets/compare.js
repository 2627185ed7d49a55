"use strict";
/* Reads the data of this page and keeps controls, tables, charts and pictures in step. */
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const slotOf = (id) => document.querySelector(`#${id} .slot`);
let next = 0;
for (const run of data.runs) {
  run.colour = run.role === "method" ? COLOURS[next++ % COLOURS.length] : QUIET;
  run.shown = true;
}
const chosen = () => data.runs.filter((run) => run.shown);
const columnsOf = (kind) => data.columns.filter((column) => column.kind === kind);
const score = () => ({ columns: [at("text").value, at("identity").value].filter(Boolean) });
const normalised = (kind) => columnsOf(kind)[0].label.includes("normalised");
const named = ({ key }) => (["text", "identity"].includes(key) ? `${key} (mean of judges${normalised(key) ? ", normalised" : ""})` : key);
const numbers = (run, column) => {
  const [mean, low, high, bootLow, bootHigh] = data.estimates[run][column];
  return at("interval").value === "t" ? [mean, low, high] : [mean, bootLow, bootHigh];
};

function counts() {
  const number = (name) => new Set(data.cells.map((cell) => cell[name])).size;
  const methods = data.runs.filter((run) => run.role === "method").length;
  at("about").textContent = `${methods} methods and ${data.runs.length - methods} floors and ceilings on ${number("person")} people, `
    + `${number("prompt")} prompts and ${number("seed")} seeds.`;
}

function controls() {
  for (const run of data.runs) {
    const box = el("input", { type: "checkbox", checked: true, onchange: () => { run.shown = box.checked; draw(); } });
    at("sides").append(el("label", {}, box, el("i", { className: "dot", style: `background:${run.colour}` }), run.name));
  }
  for (const kind of ["text", "identity"]) {
    at(kind).append(...columnsOf(kind).map((column) => el("option", { value: column.key }, named(column))));
    at(kind).parentElement.hidden = columnsOf(kind).length < 1;
    at(kind).onchange = draw;
  }
  at("interval").onchange = draw;
  at("prompt-score").append(...data.columns.map((column) => el("option", { value: column.key }, named(column))));
  for (const id of ["prompt-score", "prompt-order"]) at(id).onchange = drawPrompts;
  at("prompt-search").oninput = drawPrompts;
  if (matchMedia("(max-width: 40rem)").matches) at("controls").open = false;
}

/* A table that sorts by a click on a heading (again: the other way round) and that a search narrows. */
function table({ title, head, rows, notes }) {
  const body = el("tbody"), search = el("input", { type: "search", placeholder: "filter rows", "aria-label": `filter ${title}` });
  let by = null, down = false;
  function fill() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = rows.filter((row) => words.every((word) => row.some(([text]) => text.toLowerCase().includes(word))));
    if (by !== null) found.sort((a, b) => compare(a[by], b[by], down));
    body.replaceChildren(...found.map((row) => el("tr", {}, ...row.map(([text], i) =>
      el(i ? "td" : "th", { className: head[i].words ? "words" : "", ...(i ? {} : { scope: "row" }) }, text)))));
  }
  const heads = head.map((column, i) => el("th", { scope: "col", className: column.words ? "words" : "" }, el("button", { type: "button", onclick: () => {
    down = by === i ? !down : !column.words;
    by = i;
    heads.forEach((th) => th.removeAttribute("aria-sort"));
    heads[i].setAttribute("aria-sort", down ? "descending" : "ascending");
    fill();
  } }, column.name)));
  search.oninput = fill;
  fill();
  const bar = el("div", { className: "bar" }, el("h3", {}, title), rows.length > 3 ? search : null);
  return el("div", { className: "table" }, bar, el("div", { className: "scroll", tabIndex: 0 }, el("table", {}, el("thead", {}, el("tr", {}, ...heads)), body)),
    el("ul", { className: "notes" }, ...notes.map((note) => el("li", {}, note))));
}

/* Blanks come last whichever way is up. */
function compare([textA, a], [textB, b], down) {
  if ((textA === "") !== (textB === "")) return textA === "" ? 1 : -1;
  const order = a !== null && b !== null ? a - b : textA.localeCompare(textB, undefined, { numeric: true });
  return down ? -order : order;
}

function drawScatter() {
  const [x, y] = [at("text").value, at("identity").value], slot = slotOf("scatter");
  at("scatter").hidden = !x || !y;
  if (!x || !y) return;
  const points = chosen().map((run) => ({ ...run, x: numbers(run.name, x), y: numbers(run.name, y) })).filter((p) => p.x[0] !== null && p.y[0] !== null);
  slot.replaceChildren(points.length ? scatter(points, data.fronts[x][y], { x: named({ key: x }), y: named({ key: y }) }, slot.clientWidth) : "no run is shown");
}

function drawPrompts() {
  const column = at("prompt-score").value, order = at("prompt-order").value, runs = chosen();
  const words = at("prompt-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = data.prompts.filter(({ prompt }) => words.every((word) => prompt.toLowerCase().includes(word)));
  const means = (p) => runs.map((run) => p.means[run.name]?.[column]?.[0] ?? null).filter((v) => v !== null);
  const keys = {
    low: (p) => Math.min(...means(p)), high: (p) => -Math.max(...means(p)), spread: (p) => Math.min(...means(p)) - Math.max(...means(p)),
  };
  if (order === "name") found.sort((a, b) => a.prompt.localeCompare(b.prompt));
  else if (keys[order]) found.sort((a, b) => keys[order](a) - keys[order](b));
  const range = extent(found.flatMap((p) => runs.flatMap((run) => p.means[run.name]?.[column] ?? [])), true);
  const slot = slotOf("prompts"), grid = el("div", { className: "bars" });
  slot.replaceChildren(grid);
  const columns = Math.max(1, Math.floor((slot.clientWidth + 24) / 408)), width = Math.floor((slot.clientWidth - 24 * (columns - 1)) / columns);
  if (runs.length) grid.append(...found.map((p) => el("div", {}, el("h3", {}, p.prompt),
    barChart(runs.map((run) => ({ ...run, mean: p.means[run.name]?.[column] })), range, width))));
}

function drawRuns() {
  const names = ["name", "kind", "role", "folder", "images", "started", "commit", "digest"];
  const rows = data.runs.map((run) => names.map((name) => [String(run[name] ?? ""), typeof run[name] === "number" ? run[name] : null]));
  slotOf("runs").append(table({ title: "Where they come from", head: names.map((name) => ({ name, words: name !== "images" })), rows, notes: data.notes }));
}

const drawPictures = picturesOf(data, chosen, score);
function draw() {
  at("chosen").textContent = chosen().map((run) => run.name).join(", ") || "no run";
  drawScatter();
  drawPrompts();
  drawPictures();
}

counts();
controls();
slotOf("overview").append(table(data.tables[0]));
slotOf("tables").append(...data.tables.slice(1).map(table));
drawRuns();
draw();
/* A section that a link leads to starts below the controls. */
const settle = () => document.documentElement.style.setProperty("--top", `${at("controls").offsetHeight + 8}px`);
at("controls").addEventListener("toggle", settle);
settle();
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; settle(); drawScatter(); drawPrompts(); } });
