// A forecaster: paste or drop a CSV, and see the fan of its quantiles.

import { ask } from "./api.js";
import { brief, chart, element, whenQuiet } from "./draw.js";

const HISTORY = 120;

// Rows of values; a quoted value may contain the separator.
export function parseTable(text) {
  const lines = text.trim().split(/\r?\n/).filter((line) => line.trim());
  const separator = ["\t", ";", ","].find((mark) => lines[0]?.includes(mark)) ?? ",";
  return lines.map((line) => {
    const values = [];
    let value = "", isQuoted = false;
    for (const mark of line) {
      if (mark === '"') isQuoted = !isQuoted;
      else if (mark === separator && !isQuoted) { values.push(value); value = ""; }
      else value += mark;
    }
    return [...values, value].map((entry) => entry.trim());
  });
}

const isNumber = (text) => text !== "" && Number.isFinite(Number(text));

// The model's columns by name, or else the last columns with numbers.
export function seriesOf(table, facts) {
  const names = [...(facts.targets ?? []), ...(facts.covariates ?? [])].map(String);
  const count = Math.max(names.length, 1);
  const isNames = names.length > 0 && names.every((name, index) => table[0]?.[index] === name) && !names.every(isNumber);
  const hasHeader = isNames || (table.length > 1 && table[0].some((value, column) => !isNumber(value) && isNumber(table[1][column] ?? "")));
  const body = hasHeader ? table.slice(1) : table;
  let columns = names.map((name) => (hasHeader ? table[0].indexOf(name) : -1));
  if (columns.some((column) => column < 0)) {
    const numeric = (body[0] ?? []).map((_, column) => column).filter((column) => body.every((row) => isNumber(row[column] ?? "")));
    if (numeric.length < count) throw new Error(`The table has ${numeric.length} columns of numbers, but the model reads ${count}: ${names.join(", ")}.`);
    columns = numeric.slice(-count);
  }
  return body.map((row, index) => columns.map((column) => {
    if (!isNumber(row[column] ?? "")) throw new Error(`Row ${index + 1}: “${row[column] ?? ""}” is not a number.`);
    return Number(row[column]);
  }));
}

export function forecast(view, facts, report) {
  const text = element("textarea", { id: "text", spellcheck: "false", placeholder: "date,value\n2026-01-01,3.2\n…" });
  const file = element("input", { type: "file", id: "file", accept: ".csv,.tsv,.txt,text/csv" });
  const example = element("button", { type: "button", class: "plain", id: "example" }, "Example");
  const zone = element("div", { class: "drop" },
    element("label", { for: "text" }, "Table with a header, or numbers: paste it, or drop a file here"), text,
    element("div", { class: "row" }, element("label", { class: "file", for: "file" }, file, "Open a file"), example));
  const result = element("div", { id: "result", "aria-live": "polite" });
  const targets = (facts.targets ?? []).map(String).filter((name) => !isNumber(name)).join(", ");
  view.replaceChildren(zone, element("p", { class: "note" }, `The model reads at least ${facts.lookback} rows${targets ? ` of ${targets}` : ""} and forecasts ${facts.horizon}.`), result);

  const update = whenQuiet(async () => {
    if (!text.value.trim()) { result.replaceChildren(); return; }
    try {
      const values = seriesOf(parseTable(text.value), facts);
      const { predictions } = await ask("POST", "/v1/predict", { rows: [values] });
      show(values, predictions[0]);
      report(null);
    } catch (error) { report(error); }
  });

  function show(values, row) {
    const keys = Object.keys(row).filter((key) => key !== "id" && key !== "step");
    result.replaceChildren(...keys.flatMap((key, channel) => figure(key, values.map((entry) => entry[channel]), row[key])));
  }

  function figure(key, history, quantiles) {
    const levels = Object.keys(quantiles).map(Number).sort((a, b) => a - b);
    const names = Object.fromEntries(Object.keys(quantiles).map((name) => [Number(name), name]));
    const start = Math.max(0, history.length - HISTORY), end = history.length;
    const seen = history.slice(start).map((value, index) => [start + index + 1, value]);
    const path = (level) => [[end, history.at(-1)], ...quantiles[names[level]].map((value, index) => [end + index + 1, value])];
    const fans = levels.slice(0, Math.floor(levels.length / 2)).map((level, index) => ({ lower: path(level), upper: path(levels.at(-1 - index)) }));
    const middle = levels[Math.floor(levels.length / 2)];
    const drawn = chart(`${key}: ${end - start} values and a forecast of ${quantiles[names[middle]].length}`, {
      lines: [{ values: seen, color: "var(--text)" }, { values: path(middle), color: "var(--strong)" }], fans, ticks: (x) => String(Math.round(x)),
    });
    const table = element("table", {}, element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "step"), ...levels.map((level) => element("th", { scope: "col" }, names[level])))),
      element("tbody", {}, ...quantiles[names[middle]].map((_, index) => element("tr", {}, element("th", { scope: "row" }, String(index + 1)), ...levels.map((level) => element("td", {}, brief(quantiles[names[level]][index])))))));
    return [element("h2", {}, isNumber(key) ? `Channel ${key}` : key || "Forecast"), drawn, element("details", {}, element("summary", {}, "Numbers"), element("div", { class: "scroll" }, table))];
  }

  async function open(opened) {
    if (opened) { text.value = await opened.text(); update(); }
  }
  example.addEventListener("click", () => {
    const length = Math.max(3 * facts.lookback, 60), count = Math.max((facts.targets ?? []).length + (facts.covariates ?? []).length, 1);
    const names = [...(facts.targets ?? []), ...(facts.covariates ?? [])].map(String);
    const rows = Array.from({ length }, (_, step) => Array.from({ length: count }, (_, channel) => (10 + channel + 3 * Math.sin(step / 4 + channel) + step / 30).toFixed(3)).join(","));
    text.value = [...(names.some((name) => !isNumber(name)) ? [names.join(",")] : []), ...rows].join("\n");
    update();
  });
  text.addEventListener("input", update);
  file.addEventListener("change", () => open(file.files[0]));
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    open(event.dataTransfer.files[0]);
  });
}
