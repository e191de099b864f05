// A curve over the way from noise to image, drawn by its points: drag them, or move them by arrow keys.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, MARGIN] = [600, 150, 34];
const SNAP = [0.02, 0.5]; // of places and of values, also the step of the arrow keys
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function shape(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const snapped = (value, step, low, high) => Number(Math.min(Math.max(Math.round(value / step) * step, low), high).toFixed(4));

function render({ model, el }) {
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "ldm-curve-stage" });
  const add = element("button", { class: "ldm-button", type: "button", onclick: () => insert() }, "+ Point");
  const remove = element("button", { class: "ldm-button", type: "button", onclick: () => drop() }, "− Point");
  const clear = element("button", { class: "ldm-button", type: "button", onclick: () => save([]) }, "Constant");
  const said = element("output", { class: "ldm-curve-said" });
  let [points, chosen] = [[], 0];

  const top = () => model.get("maximum");
  const xOf = (place) => MARGIN + place * (WIDTH - 2 * MARGIN);
  const yOf = (value) => HEIGHT - MARGIN - (value / top()) * (HEIGHT - 2 * MARGIN);
  const save = (changed) => {
    points = changed.map(([place, value]) => [place, value]);
    model.set("points", points);
    model.save_changes();
    draw();
  };
  /** A point may not pass its neighbours, so that the places rise. */
  const move = (index, place, value) => {
    const low = index > 0 ? points[index - 1][0] + SNAP[0] : 0;
    const high = index + 1 < points.length ? points[index + 1][0] - SNAP[0] : 1;
    points[index] = [snapped(place, SNAP[0], low, high), snapped(value, SNAP[1], 0, top())];
    draw();
  };
  const insert = () => {
    if (points.length < 2) return save([[0, model.get("constant")], [1, model.get("constant")]]);
    const gaps = points.slice(1).map(([place], i) => place - points[i][0]);
    const at = gaps.indexOf(Math.max(...gaps));
    if (gaps[at] < 2 * SNAP[0]) return;
    const middle = [0, 1].map((axis) => (points[at][axis] + points[at + 1][axis]) / 2);
    chosen = at + 1;
    save([...points.slice(0, at + 1), [snapped(middle[0], SNAP[0], 0, 1), middle[1]], ...points.slice(at + 1)]);
  };
  const drop = () => {
    if (points.length <= 2) return save([]);
    points.splice(chosen, 1);
    chosen = Math.max(0, chosen - 1);
    save(points);
  };
  const drag = (event, index) => {
    chosen = index;
    const box = svg.getBoundingClientRect();
    const follow = ({ clientX, clientY }) => {
      const x = ((clientX - box.left) / box.width) * WIDTH;
      const y = ((clientY - box.top) / box.height) * HEIGHT;
      move(index, (x - MARGIN) / (WIDTH - 2 * MARGIN), ((HEIGHT - MARGIN - y) / (HEIGHT - 2 * MARGIN)) * top());
    };
    const end = () => {
      window.removeEventListener("pointermove", follow);
      save(points);
    };
    window.addEventListener("pointermove", follow);
    window.addEventListener("pointerup", end, { once: true });
    event.preventDefault();
  };
  const press = (event, index) => {
    if (event.key === "Delete" || event.key === "Backspace") (chosen = index), drop();
    else if (KEYS[event.key]) {
      const [place, value] = points[index];
      move(index, place + KEYS[event.key][0] * SNAP[0], value + KEYS[event.key][1] * SNAP[1]);
      save(points);
    } else return;
    event.preventDefault();
    svg.querySelectorAll("circle")[chosen = Math.min(index, points.length - 1)]?.focus();
  };
  const handle = ([place, value], index) => {
    const words = `Point ${index + 1}: ${value} at ${Math.round(100 * place)} % of the way`;
    const circle = shape("circle", { cx: xOf(place), cy: yOf(value), r: 7, tabindex: 0, role: "slider", "aria-label": words, "aria-valuenow": value, "aria-valuemin": 0, "aria-valuemax": top(), "aria-valuetext": words });
    circle.addEventListener("pointerdown", (event) => drag(event, index));
    circle.addEventListener("keydown", (event) => press(event, index));
    circle.addEventListener("focus", () => ((chosen = index), (said.textContent = words)));
    return circle;
  };
  const text = (x, y, words, anchor = "middle") => shape("text", { x, y, "text-anchor": anchor }, words);
  const draw = () => {
    const focused = [...svg.querySelectorAll("circle")].indexOf(document.activeElement);
    const shown = points.length ? points : [[0, model.get("constant")], [1, model.get("constant")]];
    const ends = [[0, shown[0][1]], ...shown, [1, shown.at(-1)[1]]];
    const line = ends.map(([place, value]) => `${xOf(place)},${yOf(Math.min(value, top()))}`).join(" ");
    svg.replaceChildren(
      shape("path", { class: "ldm-curve-axes", d: `M${xOf(0)} ${yOf(top())} V${yOf(0)} H${xOf(1)}` }),
      shape("path", { class: "ldm-curve-one", d: `M${xOf(0)} ${yOf(1)} H${xOf(1)}` }),
      text(xOf(0), HEIGHT - 8, "noise", "start"),
      text(xOf(1), HEIGHT - 8, "image", "end"),
      text(MARGIN - 12, yOf(top()) + 4, String(top()), "end"),
      text(MARGIN - 12, yOf(1) + 4, "1", "end"),
      shape("polyline", { class: points.length ? "ldm-curve-line" : "ldm-curve-line ldm-curve-constant", points: line }),
      ...points.map(handle),
    );
    if (focused >= 0) svg.querySelectorAll("circle")[focused]?.focus();
    said.textContent = points.length ? `${points.length} points` : `constant ${model.get("constant")}`;
    remove.disabled = clear.disabled = points.length === 0;
  };
  const take = () => {
    points = model.get("points").map(([place, value]) => [place, value]);
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", model.get("label"));
    draw();
  };
  claim(el, "ldm-curve");
  el.append(element("div", { class: "ldm-curve-name" }, model.get("label")), svg, element("div", { class: "ldm-curve-bar" }, add, remove, clear, said));
  return follow(model, ["points", "maximum", "constant", "label"], take);
}

export default { render };
