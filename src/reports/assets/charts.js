"use strict";
/* Small helpers and the two charts. Nothing is computed here but places on the screen. */
const SVG = "http://www.w3.org/2000/svg";
const COLOURS = ["#0b5cad", "#d1510a", "#1a8a5a", "#b1408f", "#8a6d00", "#3c8fc4", "#6a3d9a", "#a33b3b", "#4d7a1f", "#555e9c"];
const QUIET = "#7b858e";

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in node && name !== "list") node[name] = value; else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const rounded = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));

function ticks(low, high, wanted) {
  const rough = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(Number((k * step).toPrecision(10)));
  return found;
}

function extent(values, zero) {
  const known = values.filter((value) => value !== null && value !== undefined);
  let low = Math.min(...known, ...(zero ? [0] : [])), high = Math.max(...known, ...(zero ? [0] : []));
  if (!(high > low)) { low -= 0.5; high += 0.5; }
  const room = 0.06 * (high - low);
  return [zero && low === 0 ? 0 : low - room, zero && high === 0 ? 0 : high + room];
}

/* points: {name, colour, role, x: [mean, low, high], y: [mean, low, high]}; front: names in order */
function scatter(points, front, names, width) {
  const narrow = width < 520, height = Math.round(Math.min(540, Math.max(320, width * 0.62)));
  const box = { left: 52, right: 14, top: 12, bottom: 44 };
  const [x0, x1] = extent(points.flatMap((p) => p.x)), [y0, y1] = extent(points.flatMap((p) => p.y));
  const X = (v) => box.left + ((v - x0) / (x1 - x0)) * (width - box.left - box.right);
  const Y = (v) => height - box.bottom - ((v - y0) / (y1 - y0)) * (height - box.top - box.bottom);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${names.y} against ${names.x}` });
  for (const t of ticks(x0, x1, narrow ? 4 : 8)) {
    drawing.append(svg("line", { class: "axis", x1: X(t), x2: X(t), y1: box.top, y2: height - box.bottom }));
    drawing.append(svg("text", { x: X(t), y: height - box.bottom + 16, "text-anchor": "middle" }, String(t)));
  }
  for (const t of ticks(y0, y1, 6)) {
    drawing.append(svg("line", { class: "axis", x1: box.left, x2: width - box.right, y1: Y(t), y2: Y(t) }));
    drawing.append(svg("text", { x: box.left - 6, y: Y(t) + 4, "text-anchor": "end" }, String(t)));
  }
  drawing.append(svg("text", { x: (box.left + width) / 2, y: height - 8, "text-anchor": "middle" }, `${names.x} →`));
  drawing.append(svg("text", { transform: `translate(13 ${(height - box.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, `${names.y} →`));
  const shown = front.map((name) => points.find((p) => p.name === name)).filter(Boolean);
  if (shown.length > 1) {
    const path = shown.map((p) => `${X(p.x[0])},${Y(p.y[0])}`).join(" ");
    drawing.append(svg("polyline", { class: "front", points: path, fill: "none", stroke: "#222", "stroke-width": 1.5, "stroke-dasharray": "5 4" }));
  }
  const taken = points.map((p) => [X(p.x[0]) - 7, Y(p.y[0]) + 5, 14]);
  for (const p of points) drawing.append(mark(p, X, Y, front.includes(p.name), names));
  for (const p of points) drawing.append(label(p, X(p.x[0]), Y(p.y[0]), width - box.right, taken, height - box.bottom));
  return drawing;
}

function mark(p, X, Y, onFront, names) {
  const x = X(p.x[0]), y = Y(p.y[0]), group = svg("g", { class: "point", "data-run": p.name, stroke: p.colour, fill: p.colour });
  group.append(svg("title", {}, `${p.name}\n${names.x}: ${p.x.map(rounded).join("  ")}\n${names.y}: ${p.y.map(rounded).join("  ")}` + (onFront ? "\non the Pareto front" : "")));
  if (p.x[1] !== null) group.append(svg("line", { class: "whisker", x1: X(p.x[1]), x2: X(p.x[2]), y1: y, y2: y, "stroke-width": 1.5, opacity: 0.75 }));
  if (p.y[1] !== null) group.append(svg("line", { class: "whisker", x1: x, x2: x, y1: Y(p.y[1]), y2: Y(p.y[2]), "stroke-width": 1.5, opacity: 0.75 }));
  const up = p.role === "ceiling" ? -1 : 1;
  group.append(p.role === "method" ? svg("circle", { cx: x, cy: y, r: 6 })
    : svg("polygon", { points: `${x - 6},${y - 5 * up} ${x + 6},${y - 5 * up} ${x},${y + 6 * up}`, fill: "#fff", "stroke-width": 2 }));
  return group;
}

/* A name beside its point, moved to the first place where it covers no other name. */
function label(p, x, y, right, taken, bottom) {
  const wide = 7.4 * p.name.length, places = [];
  for (const shift of [-9, 18, -23, 32, -37, 46, -51, 60]) places.push([x + 9, y + shift], [x - 9 - wide, y + shift]);
  const fits = ([a, b]) => a >= 46 && a + wide <= right && b > 12 && b < bottom
    && !taken.some(([c, d, w]) => a < c + w && c < a + wide && Math.abs(b - d) < 14);
  const [a, b] = places.find(fits) || places[0];
  taken.push([a, b, wide]);
  return svg("text", { class: "label", x: a, y: b, ...(p.role === "method" ? {} : { "font-weight": 400 }) }, p.name);
}

/* bars: {name, colour, mean: [mean, low, high]}; one scale for all prompts */
function barChart(bars, [low, high], width) {
  const row = 19, left = Math.min(130, 14 + 7.2 * Math.max(...bars.map((bar) => bar.name.length))), right = 46;
  const X = (v) => left + ((v - low) / (high - low)) * (width - left - right);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${bars.length * row + 4}`, role: "img", "aria-label": "means of runs" });
  bars.forEach((bar, i) => {
    const y = i * row + 2, [mean, from, to] = bar.mean || [null, null, null];
    const name = bar.name.length > 17 ? bar.name.slice(0, 16) + "…" : bar.name;
    drawing.append(svg("text", { x: left - 6, y: y + 12, "text-anchor": "end" }, name));
    if (mean === null) { drawing.append(svg("text", { x: left + 4, y: y + 12 }, "no score")); return; }
    const [a, b] = [Math.min(X(0), X(mean)), Math.max(X(0), X(mean))];
    drawing.append(svg("rect", { class: "bar", "data-run": bar.name, x: a, y, width: Math.max(b - a, 1), height: 14, fill: bar.colour, rx: 2 }));
    if (from !== null) drawing.append(svg("line", { x1: Math.max(X(from), left), x2: X(to), y1: y + 7, y2: y + 7, stroke: "#111", "stroke-width": 1.5 }));
    drawing.append(svg("text", { x: width - 2, y: y + 12, "text-anchor": "end" }, rounded(mean)));
  });
  drawing.append(svg("line", { x1: X(0), x2: X(0), y1: 0, y2: bars.length * row, stroke: QUIET }));
  return drawing;
}
