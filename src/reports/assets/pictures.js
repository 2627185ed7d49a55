"use strict";
/* The pictures: one card for each person, prompt and seed, the runs side by side. */
const CARDS = 40; // cards drawn at a time

function picturesOf(data, chosen, score) {
  const field = (id) => document.getElementById(id);
  const slot = document.querySelector("#pictures .slot");
  const unique = (name) => [...new Set(data.cells.map((cell) => cell[name]))];
  let cells = [], drawn = 0;

  function fill(id, values, every) {
    field(id).append(el("option", { value: "" }, every), ...values.map((value) => el("option", { value }, value)));
    field(id).parentElement.hidden = values.length < 2;
  }
  fill("person", unique("person"), "all people");
  fill("prompt", unique("prompt"), "all prompts");
  fill("family", unique("family"), "all families");
  fill("seed", unique("seed"), "all seeds");

  function orders() {
    const kept = field("order").value, runs = chosen().map((run) => run.name);
    const found = [["given", "as given"], ["person", "by person"], ["prompt", "by prompt"], ["seed", "by seed"]];
    for (const column of score().columns) {
      for (const run of runs) found.push([["low", run, column].join("\t"), `${run}: ${column}, lowest first`], [["high", run, column].join("\t"), `${run}: ${column}, highest first`]);
      for (const run of runs.slice(1)) found.push([["gain", run, column, runs[0]].join("\t"), `${column}: ${run} above ${runs[0]}`], [["loss", run, column, runs[0]].join("\t"), `${column}: ${run} below ${runs[0]}`]);
    }
    field("order").replaceChildren(...found.map(([value, text]) => el("option", { value }, text)));
    field("order").value = found.some(([value]) => value === kept) ? kept : "given";
  }

  const scoreOf = (cell, run, column) => (cell.scores[run] || [])[data.columns.findIndex((c) => c.key === column)] ?? null;

  function value(cell, [kind, run, column, other]) {
    const own = scoreOf(cell, run, column);
    if (kind === "low") return own;
    if (kind === "high") return own === null ? null : -own;
    const base = scoreOf(cell, other, column);
    if (own === null || base === null) return null;
    return kind === "gain" ? base - own : own - base;
  }

  function sorted(found) {
    const order = field("order").value.split("\t");
    if (order[0] === "given") return found;
    if (["person", "prompt", "seed"].includes(order[0])) {
      return [...found].sort((a, b) => a[order[0]].localeCompare(b[order[0]], undefined, { numeric: true }));
    }
    const keyed = found.map((cell) => [value(cell, order), cell]);
    return keyed.sort(([a], [b]) => (a === null) - (b === null) || a - b).map(([, cell]) => cell);
  }

  function refresh() {
    const words = field("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (cell) => ["person", "prompt", "family", "seed"].every((name) => !field(name).value || cell[name] === field(name).value)
      && words.every((word) => cell.prompt.toLowerCase().includes(word));
    cells = sorted(data.cells.filter(fits));
    drawn = 0;
    slot.replaceChildren();
    field("count").textContent = `${cells.length} of ${data.cells.length} rows of pictures`;
    more();
  }

  function more() {
    slot.append(...cells.slice(drawn, drawn + CARDS).map(card));
    drawn = Math.min(drawn + CARDS, cells.length);
    field("more").hidden = drawn === cells.length;
    field("more").textContent = `Show more (${cells.length - drawn} left)`;
  }

  function picture(place, alt, onclick) {
    if (place === null || place === undefined) return el("div", { className: "none" }, "no picture");
    const image = el("img", { alt, loading: "lazy", src: data.pictures[place], onclick, tabIndex: 0 });
    image.onload = () => image.classList.toggle("small", image.naturalWidth <= 128);
    image.onkeydown = (event) => { if (event.key === "Enter") onclick(); };
    return image;
  }

  function figures(cell, onclick) {
    const photo = el("figure", { className: "photo" }, picture(cell.photo, `photo of ${cell.person}`, onclick), el("figcaption", {}, el("b", {}, "photo")));
    return [photo, ...chosen().map((run) => {
      const scores = score().columns.map((column) => el("span", {}, `${column} ${rounded(scoreOf(cell, run.name, column))}`));
      const dot = el("i", { className: "dot", style: `background:${run.colour}` });
      return el("figure", { "data-run": run.name }, picture(cell.shown[run.name], `${run.name}: ${cell.prompt}, seed ${cell.seed}`, onclick),
        el("figcaption", {}, el("b", {}, dot, ` ${run.name}`), ...scores));
    })];
  }

  function card(cell) {
    const open = () => {
      const large = document.getElementById("large");
      large.querySelector("h3").textContent = `${cell.prompt} · person ${cell.person} · seed ${cell.seed}`;
      large.querySelector("div").replaceChildren(...figures(cell, () => large.close()));
      large.showModal();
    };
    const title = el("h3", {}, cell.prompt, el("span", {}, ` · person ${cell.person} · seed ${cell.seed}`));
    return el("article", { className: "cell" }, title, el("div", { className: "strip" }, ...figures(cell, open)));
  }

  for (const id of ["person", "prompt", "family", "seed", "order"]) field(id).onchange = refresh;
  field("search").oninput = refresh;
  field("more").onclick = more;
  field("size").oninput = () => document.documentElement.style.setProperty("--size", `${field("size").value}px`);
  if (matchMedia("(max-width: 40rem)").matches) { field("size").value = 96; field("size").oninput(); }
  document.querySelector("#large button").onclick = () => document.getElementById("large").close();
  return () => { orders(); refresh(); };
}
