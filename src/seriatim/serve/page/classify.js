// A classifier of texts: the probability of each class after each word.

import { ask } from "./api.js";
import { bars, chart, COLORS, element, legend, whenQuiet } from "./draw.js";

const MOST_WORDS = 120, MOST_LINES = 5;

export function classify(view, facts, report) {
  const text = element("textarea", { id: "text" });
  const result = element("div", { id: "result", "aria-live": "polite" });
  view.replaceChildren(
    element("label", { for: "text" }, "Text"), text,
    element("p", { class: "note" }, "The model reads the text again up to each word, so you see which word changes its mind."), result,
  );

  const update = whenQuiet(async () => {
    const ends = [...text.value.matchAll(/\S+/g)].slice(0, MOST_WORDS);
    if (!ends.length) { result.replaceChildren(); return; }
    const rows = ends.map((word) => text.value.slice(0, word.index + word[0].length));
    try {
      const { predictions } = await ask("POST", "/v1/predict", { rows });
      show(ends.map((word) => word[0]), predictions);
      report(null);
    } catch (error) { report(error); }
  });

  function show(words, predictions) {
    const last = predictions.at(-1);
    const names = Object.keys(last.probabilities).sort((a, b) => last.probabilities[b] - last.probabilities[a]);
    const shown = names.slice(0, MOST_LINES);
    const lines = shown.map((name, index) => ({
      values: predictions.map((row, at) => [at + 1, row.probabilities[name]]), color: COLORS[index % COLORS.length],
    }));
    const list = element("ul", { class: "bars" });
    bars(list, names.slice(0, 10).map((name) => ({ text: name, share: last.probabilities[name] })));
    const marked = element("ol", { class: "words" }, ...words.map((word, index) => {
      const item = element("li", {}, word, element("small", {}, predictions[index].label));
      item.style.borderTopColor = COLORS[Math.max(0, shown.indexOf(predictions[index].label)) % COLORS.length];
      return item;
    }));
    result.replaceChildren(
      element("h2", {}, `${last.label} (${(100 * last.probability).toFixed(1)} %)`), list,
      element("h2", {}, "After each word"),
      chart("probability of each class after each word", { lines, low: 0, high: 1, from: 1, to: Math.max(words.length, 2), ticks: (x) => String(Math.round(x)) }),
      legend(shown), marked,
    );
  }
  text.addEventListener("input", update);
}
