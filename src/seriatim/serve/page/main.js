// Reads which model the server has, and shows its view.

import { ask, hasKey, setKey, Refused } from "./api.js";
import { classify } from "./classify.js";
import { forecast } from "./forecast.js";
import { language } from "./language.js";
import { rows } from "./rows.js";
import { tag, translate } from "./words.js";

const status = document.getElementById("status");
const form = document.getElementById("key-form");

export function report(error) {
  status.textContent = error ? error.message : "";
}

function viewOf(facts) {
  if (facts.task === "language" && facts.units && facts.streams) return language;
  if (facts.task === "classify" && facts.reads === "text") return classify;
  return { forecast, tag, translate }[facts.task] ?? rows;
}

async function begin() {
  try {
    const { data } = await ask("GET", "/v1/models");
    const facts = data[0];
    const parts = [`${facts.task} model “${facts.model}”`, facts.dtype, facts.unit && `${facts.units} units (${facts.unit})`, facts.id];
    document.getElementById("facts").textContent = parts.filter(Boolean).join(" · ");
    document.title = `Seriatim: ${facts.task}`;
    form.hidden = true;
    report(null);
    viewOf(facts)(document.getElementById("view"), facts, report);
    document.body.dataset.ready = facts.task;
  } catch (error) {
    if (error instanceof Refused && error.status === 401) {
      document.getElementById("facts").textContent = "";
      form.hidden = false;
      report(hasKey() ? new Error("This is not the key of this server.") : null);
      document.getElementById("key").focus();
    } else report(error);
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(document.getElementById("key").value);
  begin();
});
begin();
