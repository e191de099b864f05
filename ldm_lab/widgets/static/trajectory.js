// A walk: its frames, the curves of its numbers with a line where one is, and two steps that were pinned to compare.

const [CHART_WIDTH, CHART_HEIGHT, MARGIN] = [320, 84, 6];

/** An SVG element. */
function drawing(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A curve over the steps, and move(place) for its line and its number. */
function makeChart({ name, values }) {
  const [low, high] = [Math.min(0, ...values), Math.max(...values, 1e-9)];
  const x = (i) => MARGIN + (i / Math.max(1, values.length - 1)) * (CHART_WIDTH - 2 * MARGIN);
  const y = (value) => CHART_HEIGHT - MARGIN - ((value - low) / (high - low)) * (CHART_HEIGHT - 2 * MARGIN);
  const line = drawing("line", { y1: 0, y2: CHART_HEIGHT, class: "ldm-chart-line" });
  const dot = drawing("circle", { r: 4, class: "ldm-chart-dot" });
  const curve = drawing("polyline", { points: values.map((v, i) => `${x(i)},${y(v)}`).join(" "), class: "ldm-chart-curve" });
  const number = element("output", { class: "ldm-chart-number" });
  const heading = element("div", { class: "ldm-chart-name" }, name, number);
  const svg = drawing("svg", { viewBox: `0 0 ${CHART_WIDTH} ${CHART_HEIGHT}`, role: "img", "aria-label": `${name} over the steps, from ${values[0]?.toPrecision(3)} to ${values.at(-1)?.toPrecision(3)}` }, line, curve, dot);
  const move = (place) => {
    const at = Math.min(place, values.length - 1);
    line.setAttribute("x1", x(at));
    line.setAttribute("x2", x(at));
    dot.setAttribute("cx", x(at));
    dot.setAttribute("cy", y(values[at]));
    number.textContent = values[at].toPrecision(3);
  };
  return { node: element("div", { class: "ldm-chart" }, heading, svg), move };
}

/** A place for a step that stays while others are looked at. */
function makePin(letter, scrubber) {
  const canvas = element("canvas", { class: "ldm-pin-frame", role: "img", "aria-label": `Pin ${letter}: nothing yet` });
  const caption = element("figcaption", {}, "nothing pinned");
  const keep = () => {
    scrubber.copyTo(canvas);
    caption.textContent = `${scrubber.shown()}, ${scrubber.label()}`;
    canvas.setAttribute("aria-label", `Pin ${letter}: ${caption.textContent}`);
  };
  const button = element("button", { class: "ldm-button", type: "button", onclick: keep }, `📌 Pin ${letter}`);
  return element("figure", { class: "ldm-pin" }, button, canvas, caption);
}

function render({ model, el }) {
  let charts = [];
  const scrubber = makeScrubber(model, (place) => charts.forEach((chart) => chart.move(place)));
  const empty = element("div", { class: "ldm-empty" });
  const curves = element("div", { class: "ldm-trajectory-curves" });
  const pins = element("div", { class: "ldm-trajectory-pins" }, makePin("A", scrubber), makePin("B", scrubber));
  const walk = element("div", { class: "ldm-trajectory-walk" }, scrubber.frame, scrubber.bar);

  const showSheets = async (content, buffers) => {
    charts = content.curves.map(makeChart);
    curves.replaceChildren(...charts.map(({ node }) => node));
    await scrubber.load(content, buffers);
    el.replaceChildren(walk, curves, pins);
  };
  const describe = () => {
    empty.textContent = model.get("placeholder");
    el.style.setProperty("--ldm-frame-width", `${model.get("width")}px`);
    scrubber.describe();
  };
  claim(el, "ldm-trajectory");
  el.replaceChildren(empty);
  return endAll(
    follow(model, ["label", "labels", "placeholder", "width"], describe),
    follow(model, ["index"], () => scrubber.move(model.get("index"))),
    receive(model, { sheets: showSheets }),
    scrubber.stop,
  );
}

export default { render };
