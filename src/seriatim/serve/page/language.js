// A language model: type, and watch what it expects next, what surprised it, and its hidden units.

import { Session } from "./api.js";
import { bars, cells, element } from "./draw.js";

const SHOWN = 10, MOST = 400, LONGEST = 1000, PASTED = 40;
const visible = (text) => text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥") || "∅";

// The part of a text that a model of words or byte pairs can read: whole words. Characters are read at once.
export function wholeUnits(text, unit) {
  if (unit === "char") return text;
  const space = text.search(/\s\S*$/);
  return text.slice(0, Math.max(0, space + (unit === "word" ? 1 : 0)));
}

export function language(view, facts, report) {
  const text = element("textarea", { id: "text", spellcheck: "false", "aria-describedby": "hint" });
  const list = element("ul", { class: "bars", id: "next" });
  const units = element("canvas", { id: "hidden", role: "img", "aria-label": "hidden units of the last layer" });
  const surprise = element("p", { class: "surprise", id: "surprise" });
  const play = element("button", { type: "button", id: "play" }, "Write on");
  const temperature = element("input", { type: "range", id: "temperature", min: "0", max: "1.5", step: "0.05", value: "0.7" });
  const shownTemperature = element("output", { for: "temperature" }, "0.7");
  temperature.addEventListener("input", () => { shownTemperature.textContent = temperature.value; });
  view.replaceChildren(
    element("label", { for: "text" }, "Text"), text,
    element("p", { class: "note", id: "hint" }, facts.unit === "char"
      ? "Each character is one step of the model. Its state is kept by the server, not in this page."
      : "A word is read when a space follows it. The state is kept by the server, not in this page."),
    element("div", { class: "row" }, play, element("label", { for: "temperature" }, "Temperature"), temperature, shownTemperature),
    element("div", { class: "columns" },
      element("section", {}, element("h2", {}, "What comes next"), list),
      element("section", {}, element("h2", {}, "Hidden units"), units,
        element("p", { class: "note" }, "One cell for each unit of the last layer: blue is positive, orange negative."))),
    element("h2", {}, "What surprised the model"), surprise,
    element("p", { class: "note" }, "The thicker the line under a character, the less probable it was."),
  );

  let session = null, read = "", next = [], isBusy = false, isPlaying = false;

  const readable = () => wholeUnits(text.value, facts.unit);

  async function catchUp() {
    if (isBusy) return;
    isBusy = true;
    try {
      while (read !== readable() || session === null) await advance(readable());
      report(null);
    } catch (error) {
      isPlaying = false;
      report(error);
      session?.close();
      session = null;
      read = "";
    } finally {
      isBusy = false;
      showPlay();
    }
  }

  async function advance(wanted) {
    if (session === null || !wanted.startsWith(read)) {
      const old = session;
      session = await Session.create();
      old?.close();
      read = "";
      surprise.replaceChildren();
      const tail = [...wanted].slice(-LONGEST).join(""); // not between the halves of a character
      if (tail) await step(tail, false);
      else show(null);
      read = wanted;
      return;
    }
    const added = wanted.slice(read.length);
    const isShort = facts.unit === "char" && added.length <= PASTED;
    const piece = isShort ? [...added][0] : [...added].slice(0, LONGEST).join("");
    await step(piece, isShort);
    read += piece;
  }

  async function step(piece, isMarked) {
    const expected = next.find((entry) => entry.text === piece);
    const chance = expected ? Math.exp(expected.log_probability) : 0;
    show(await session.step(piece, { top: Math.min(facts.units, MOST), hidden: true }));
    const mark = element("span", { title: isMarked ? `${(100 * chance).toFixed(2)} %` : undefined }, piece);
    if (isMarked) {
      const bits = Math.min(8, -Math.log2(Math.max(chance, 1e-3)));
      mark.style.borderBottomColor = "var(--warm)";
      mark.style.borderBottomWidth = `${Math.max(1, bits).toFixed(1)}px`;
    }
    surprise.append(mark);
    while (surprise.childNodes.length > 300) surprise.firstChild.remove();
  }

  function show(answer) {
    next = answer ? answer.answer.next : [];
    const top = next.slice(0, SHOWN);
    bars(list, top.map((entry) => ({
      text: visible(entry.text), share: Math.exp(entry.log_probability), title: `add ${visible(entry.text)}`,
    })), (index) => append(top[index].text));
    if (!top.length) list.replaceChildren(element("li", { class: "note" }, "Type something first."));
    if (answer?.hidden) cells(units, answer.hidden);
  }

  function append(piece) {
    text.value += piece;
    text.scrollTop = text.scrollHeight;
    return catchUp();
  }

  function draw() {
    const heat = Number(temperature.value);
    const known = next.filter((entry) => entry.unit !== 0);
    if (heat === 0) return known[0].text;
    const weights = known.map((entry) => Math.exp((entry.log_probability - known[0].log_probability) / heat));
    let point = Math.random() * weights.reduce((sum, weight) => sum + weight, 0);
    return known[Math.max(0, weights.findIndex((weight) => (point -= weight) <= 0))].text;
  }

  async function write() {
    while (isPlaying && next.length) {
      await append(facts.unit === "word" ? `${draw()} ` : draw());
      await new Promise((done) => setTimeout(done, 60));
    }
    isPlaying = false;
    showPlay();
  }

  function showPlay() {
    play.textContent = isPlaying ? "Stop" : "Write on";
    play.setAttribute("aria-pressed", String(isPlaying));
  }

  play.addEventListener("click", async () => {
    isPlaying = !isPlaying;
    showPlay();
    if (!isPlaying) return;
    if (!next.length) await append(text.value ? "" : facts.unit === "char" ? "T" : "the ");
    write();
  });
  text.addEventListener("input", catchUp);
  window.addEventListener("pagehide", () => session?.close());
  catchUp();
}
