// Taggers: the tag of each word. Translators: the text, and which words it attends to.

import { ask } from "./api.js";
import { COLORS, element, legend, whenQuiet } from "./draw.js";

export function tag(view, facts, report) {
  const text = element("textarea", { id: "text" });
  const result = element("div", { id: "result", "aria-live": "polite" });
  view.replaceChildren(element("label", { for: "text" }, "Sentence, with spaces around words"), text, result);
  const update = whenQuiet(async () => {
    const words = text.value.trim().split(/\s+/).filter(Boolean);
    if (!words.length) { result.replaceChildren(); return; }
    try {
      const { predictions: [row] } = await ask("POST", "/v1/predict", { rows: [words] });
      const tags = [...new Set(row.tags)];
      const color = (name) => COLORS[tags.indexOf(name) % COLORS.length];
      result.replaceChildren(legend(tags, tags.map(color)), element("ol", { class: "words" }, ...row.words.map((word, index) => {
        const item = element("li", {}, word, element("small", {}, row.tags[index]));
        item.style.borderTopColor = color(row.tags[index]);
        return item;
      })));
      report(null);
    } catch (error) { report(error); }
  });
  text.addEventListener("input", update);
}

export function translate(view, facts, report) {
  const text = element("textarea", { id: "text" });
  const result = element("div", { id: "result", "aria-live": "polite" });
  view.replaceChildren(element("label", { for: "text" }, "Text to translate"), text, result);
  const update = whenQuiet(async () => {
    const source = text.value.trim();
    if (!source) { result.replaceChildren(); return; }
    try {
      const { predictions: [row] } = await ask("POST", "/v1/predict", { rows: [source], alignment: true });
      result.replaceChildren(element("h2", {}, "Translation"), element("p", { class: "answer", id: "translation" }, row.prediction || "(nothing)"));
      if (row.alignment?.target.length) result.append(element("h2", {}, "Alignment"), matrix(row.alignment),
        element("p", { class: "note" }, "A row for each unit that was written. The darker a cell, the more the model looked at that unit of the source."));
      report(null);
    } catch (error) { report(error); }
  }, 300);
  text.addEventListener("input", update);
}

function matrix({ source, target, weights }) {
  const head = element("tr", {}, element("td"), ...source.map((unit) => element("th", { scope: "col" }, unit)));
  const rows = target.map((unit, index) => element("tr", {}, element("th", { scope: "row" }, unit), ...weights[index].map((weight, column) => {
    const cell = element("td", { title: `${unit} ← ${source[column]}: ${(100 * weight).toFixed(0)} %` });
    cell.style.background = `color-mix(in srgb, var(--strong) ${(100 * weight).toFixed(0)}%, var(--raised))`;
    return cell;
  })));
  return element("div", { class: "scroll" }, element("table", { class: "matrix" }, head, ...rows));
}
