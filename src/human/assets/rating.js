"use strict";
/* One sheet of a kit: shows its pairs one by one, keeps the answers in this browser, saves them as CSV. */
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const store = `ratings ${data.kit} ${data.sheet}`;
let state = JSON.parse(localStorage.getItem(store) || "null") || { rater: "", place: -1, answers: {} };

const keep = () => localStorage.setItem(store, JSON.stringify(state));
const key = (entry, question) => `${entry.item} ${question.name}`;
const answered = (entry) => data.questions.every((question) => state.answers[key(entry, question)]);

function show() {
  const { place } = state, last = data.entries.length;
  at("start").hidden = place >= 0;
  at("item").hidden = place < 0 || place >= last;
  at("end").hidden = place < last;
  if (place >= 0 && place < last) showEntry(data.entries[place]);
  keep();
  scrollTo(0, 0);
}

function showEntry(entry) {
  at("place").textContent = `${state.place + 1} of ${data.entries.length}`;
  at("progress").max = data.entries.length;
  at("progress").value = state.place;
  at("prompt").textContent = `“${entry.prompt}”`;
  for (const side of ["photo", "left", "right"]) {
    at(side).onload = () => at(side).classList.toggle("small", at(side).naturalWidth <= 128);
    at(side).src = data.pictures[entry[side]];
  }
  at("questions").replaceChildren(...data.questions.map((question) => fieldset(entry, question)));
  at("forth").disabled = !answered(entry);
}

function fieldset(entry, question) {
  const field = document.createElement("fieldset"), legend = document.createElement("legend");
  legend.textContent = question.ask;
  field.append(legend);
  for (const [value, text] of Object.entries(data.answers)) {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, { type: "radio", name: question.name, value, checked: state.answers[key(entry, question)] === value });
    input.onchange = () => { state.answers[key(entry, question)] = value; at("forth").disabled = !answered(entry); keep(); };
    label.append(input, text);
    field.append(label);
  }
  return field;
}

/* what a spreadsheet would run as a formula is marked, as in src/cells.py, which reads it back */
const marked = (text) => /^'*(\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n])/.test(text) && (!text.trim() || isNaN(text)) ? `'${text}` : text;
const quoted = (text) => `"${marked(String(text)).replaceAll('"', '""')}"`;
function csv() {
  const rows = data.entries.flatMap((entry) => data.questions.map((question) =>
    [data.kit, data.sheet, state.rater, entry.item, question.name, state.answers[key(entry, question)]]));
  return ["kit,sheet,rater,item,question,answer", ...rows.map((row) => row.map(quoted).join(","))].join("\n") + "\n";
}

at("begin").onclick = () => {
  state.rater = at("rater").value.trim();
  at("complaint").textContent = state.rater ? "" : "Please give a name or a number, so that your answers can be told from others'.";
  if (state.rater) { state.place = 0; show(); }
};
at("forth").onclick = () => { state.place += 1; show(); };
at("back").onclick = () => { state.place -= 1; show(); };
at("again").onclick = () => { state.place -= 1; show(); };
at("save").onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = `ratings-${data.kit}-${data.sheet}.csv`;
  link.click();
  at("saved").textContent = `Saved as ${link.download}.`;
};
at("rater").value = state.rater;
show();
