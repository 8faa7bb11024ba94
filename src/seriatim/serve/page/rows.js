// Every other model: rows as JSON, and what the model predicts for them.

import { ask } from "./api.js";
import { element } from "./draw.js";

export function rows(view, facts, report) {
  const sample = facts.reads === "text" ? '["a text"]' : facts.reads === "numbers" ? JSON.stringify([[Array(facts.channels).fill(0), Array(facts.channels).fill(1)]]) : "[]";
  const text = element("textarea", { id: "text", spellcheck: "false" });
  text.value = sample;
  const result = element("pre", { class: "answer scroll", id: "result", "aria-live": "polite" });
  const predict = element("button", { type: "button", id: "predict" }, "Predict");
  view.replaceChildren(element("label", { for: "text" }, `Rows of this ${facts.task} model, as JSON`), text, element("div", { class: "row" }, predict), result);
  predict.addEventListener("click", async () => {
    predict.disabled = true;
    try {
      const { predictions } = await ask("POST", "/v1/predict", { rows: JSON.parse(text.value) });
      result.textContent = JSON.stringify(predictions, null, 2);
      report(null);
    } catch (error) { report(error); } finally { predict.disabled = false; }
  });
}
