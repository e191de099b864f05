// Planes of small integers, as viz.planes writes them: read, painted and said without the kernel; and a marked cell.

const NOT_A_NUMBER = [255, 0, 255];

/** Planes by their description and bytes; `at(plane, cell)` is a number, NaN where there is none, `most(plane)` the
 *  largest of a plane. */
function readPlanes({ shape, bits, low, step }, bytes) {
  const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const counts = bits === 8 ? new Uint8Array(data) : new Uint16Array(data);
  const missing = 2 ** bits - 1;
  const [height, width] = shape.slice(-2);
  const at = (plane, cell) => {
    const count = counts[plane * height * width + cell];
    return count === missing ? NaN : low + step * count;
  };
  const most = (plane) => {
    let largest = low;
    for (let cell = 0; cell < height * width; cell += 1) if (at(plane, cell) > largest) largest = at(plane, cell);
    return largest;
  };
  return { height, width, at, most };
}

/** Paint a plane, a pixel for each number; `table` holds 256 colours from `low` to `high`.
 *  With `fades`, the less a number is, the more is seen of what lies below. */
function paintPlane(canvas, planes, plane, { low, high, table, fades = false }) {
  const { height, width } = planes;
  Object.assign(canvas, { height, width });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  for (let cell = 0; cell < height * width; cell += 1) {
    const value = planes.at(plane, cell);
    const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
    const place = 3 * Math.round(255 * share);
    const color = Number.isNaN(value) ? NOT_A_NUMBER : table.subarray(place, place + 3);
    pixels.data.set([...color, fades && !Number.isNaN(value) ? Math.round(215 * Math.sqrt(share)) : 255], 4 * cell);
  }
  context.putImageData(pixels, 0, 0);
}

/** A colour table from its bytes. */
function readTable(bytes) {
  return new Uint8Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/** A number with its sign, or what it is instead. */
function spell(value, digits = 2) {
  if (Number.isNaN(value)) return "no number";
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
}

/** A canvas with a mark on it that stands over one cell of h x w. */
function cellStage(label) {
  const canvas = element("canvas", { class: "ldm-cells-canvas" });
  const mark = element("div", { class: "ldm-cells-mark", hidden: "" });
  const stage = element("div", { class: "ldm-cells-stage", role: "img", "aria-label": label }, canvas, mark);
  const show = (cell, { height, width }) => {
    mark.hidden = cell === null;
    if (cell === null) return;
    const [row, column] = [Math.floor(cell / width), cell % width];
    Object.assign(mark.style, {
      left: `${(100 * column) / width}%`,
      top: `${(100 * row) / height}%`,
      width: `${100 / width}%`,
      height: `${100 / height}%`,
    });
  };
  return { stage, canvas, show };
}

/** Which cell lies under the pointer. */
function cellUnder(event, { height, width }) {
  const box = event.currentTarget.getBoundingClientRect();
  const place = (offset, size, count) => Math.min(count - 1, Math.max(0, Math.floor((offset / size) * count)));
  const row = place(event.clientY - box.top, box.height, height);
  return row * width + place(event.clientX - box.left, box.width, width);
}

/** The cell that an arrow key leads to from another one; null for other keys. */
function cellBeside(cell, key, { height, width }) {
  const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[key];
  if (!move) return null;
  if (cell === null) return 0;
  const row = Math.min(height - 1, Math.max(0, Math.floor(cell / width) + move[0]));
  return row * width + Math.min(width - 1, Math.max(0, (cell % width) + move[1]));
}

/** An SVG element. */
function drawn(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Bars of a density with the standard normal as a dashed line; values from -limit to limit. `mark(value)` sets a line. */
function densityPlot({ limit, normal }) {
  const [width, height] = [100, 34];
  const bars = drawn("path", { class: "ldm-plot-bars" });
  const curve = drawn("path", { class: "ldm-plot-normal" });
  const line = drawn("line", { class: "ldm-plot-mark", y1: 0, y2: height, visibility: "hidden" });
  const box = { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  const svg = drawn("svg", { class: "ldm-plot", ...box }, bars, curve, line);
  const show = (densities) => {
    const [most, part] = [Math.max(0.5, ...densities), width / densities.length];
    const y = (density) => height - (height * density) / most;
    bars.setAttribute("d", densities.map((one, i) => `M${i * part},${height}V${y(one)}h${part}V${height}z`).join(""));
    curve.setAttribute("d", `M${normal.map((one, i) => `${(i + 0.5) * part},${y(one)}`).join("L")}`);
  };
  const mark = (value) => {
    const isShown = value !== null && !Number.isNaN(value);
    line.setAttribute("visibility", isShown ? "visible" : "hidden");
    if (!isShown) return;
    const x = (width * (Math.min(limit, Math.max(-limit, value)) + limit)) / (2 * limit);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
  };
  return { svg, show, mark };
}
