// Elements, bars, lines and fans. Colours come from the style sheet, so that they follow the dark mode.

const SVG = "http://www.w3.org/2000/svg";
export const COLORS = ["var(--strong)", "var(--warm)", "#7a5cc2", "#3d9a50", "#b53f7c", "#8a7a2f"];

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "color") made.style.stroke = value;
    else made.setAttribute(key, value);
  }
  if (text !== undefined) made.textContent = text;
  return made;
}

// A list of {text, share, title}; with `choose`, each bar is a button.
export function bars(list, rows, choose) {
  list.replaceChildren(
    ...rows.map(({ text, share, title }, index) => {
      const fill = element("span", { class: "fill" });
      fill.style.width = `${(100 * share).toFixed(1)}%`;
      const parts = [fill, element("span", { class: "word" }, text), element("span", { class: "value" }, `${(100 * share).toFixed(1)} %`)];
      const bar = choose
        ? element("button", { type: "button", title, onclick: () => choose(index) }, ...parts)
        : element("div", { class: "bar", title }, ...parts);
      return element("li", {}, bar);
    }),
  );
}

// Values between -1 and 1 as coloured cells.
export function cells(canvas, values) {
  const columns = Math.min(values.length, 32, Math.ceil(Math.sqrt(3 * values.length)));
  const rows = Math.ceil(values.length / columns);
  canvas.width = columns * 10;
  canvas.height = rows * 10;
  const style = getComputedStyle(document.documentElement);
  const [positive, negative] = ["--strong", "--warm"].map((name) => style.getPropertyValue(name).trim());
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  values.forEach((value, index) => {
    context.globalAlpha = Math.min(1, Math.sqrt(Math.abs(value))); // small values stay visible
    context.fillStyle = value >= 0 ? positive : negative;
    context.fillRect((index % columns) * 10, Math.floor(index / columns) * 10, 9, 9);
  });
}

// A chart of series {values: [[x, y], …], color} and fans {upper, lower}, with axes.
export function chart(label, { lines = [], fans = [], low, high, from, to, ticks = (x) => String(x) }) {
  const width = 640, height = 260, left = 48, bottom = 24, top = 10;
  const drawn = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  const points = [...lines.flatMap((line) => line.values), ...fans.flatMap((fan) => [...fan.upper, ...fan.lower])];
  const ys = points.map(([, y]) => y), xs = points.map(([x]) => x);
  const minimum = low ?? Math.min(...ys), maximum = high ?? Math.max(...ys);
  const first = from ?? Math.min(...xs), last = to ?? Math.max(...xs);
  const x = (value) => left + ((value - first) / (last - first || 1)) * (width - left - 12);
  const y = (value) => height - bottom - ((value - minimum) / (maximum - minimum || 1)) * (height - bottom - top);
  for (let part = 0; part <= 4; part++) {
    const value = minimum + ((maximum - minimum) * part) / 4;
    drawn.append(shape("line", { class: "grid", x1: left, x2: width - 12, y1: y(value), y2: y(value) }));
    drawn.append(shape("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, brief(value)));
  }
  for (let part = 0; part <= 4; part++) {
    const value = first + ((last - first) * part) / 4;
    drawn.append(shape("text", { x: x(value), y: height - 6, "text-anchor": part === 4 ? "end" : "middle" }, ticks(value)));
  }
  const path = (values) => values.map(([a, b], index) => `${index ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
  for (const { upper, lower } of fans) drawn.append(shape("path", { class: "fan", d: `${path(upper)}${path([...lower].reverse()).replace("M", "L")}Z` }));
  for (const { values, color, dash } of lines) drawn.append(shape("path", { class: "trace", color, d: path(values), "stroke-dasharray": dash ?? "none" }));
  return drawn;
}

export function legend(names, colors = COLORS) {
  return element("ul", { class: "legend" }, ...names.map((name, index) => {
    const mark = element("i");
    mark.style.background = colors[index % colors.length];
    return element("li", {}, mark, name);
  }));
}

export function brief(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) return value.toExponential(1);
  return String(Number(value.toPrecision(4)));
}

// Calls `work` when the input has been quiet for a moment, and again if it changed meanwhile; never twice at once.
export function whenQuiet(work, delay = 150) {
  let timer, isRunning = false, isWanted = false;
  const run = async () => {
    if (isRunning) { isWanted = true; return; }
    isRunning = true;
    try { await work(); } finally { isRunning = false; }
    if (isWanted) { isWanted = false; run(); }
  };
  return () => { clearTimeout(timer); timer = setTimeout(run, delay); };
}
