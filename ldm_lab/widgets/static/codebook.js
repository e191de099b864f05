// A picture and the codebook that it is made of, side by side: what is under the pointer in one lights up in the other.
// The kernel hears only of what is chosen.

const TILE = 16; // pixels of a code on its canvas
const GAP = 2;

/** A colour for each code: hues a golden angle apart, in three lightnesses. */
const tint = (code) => `hsl(${(code * 137.508) % 360} 70% ${[45, 62, 30][code % 3]}%)`;

/** Places of a code in the picture, as a path of SVG. */
function placesOf(codes, columns, code) {
  const parts = [];
  codes.forEach((here, place) => {
    if (here === code) parts.push(`M${place % columns} ${Math.floor(place / columns)}h1v1h-1z`);
  });
  return parts.join("");
}

/** Codes in the order in which they are shown. */
function ordered(counts, byUse) {
  const codes = [...counts.keys()];
  return byUse ? codes.sort((one, other) => counts[other] - counts[one] || one - other) : codes;
}

/** The grid of codes: tiles cut out of a sheet, dead ones pale under a cross. */
function drawCodes(canvas, { sheet, order, counts, columns }) {
  const rows = Math.ceil(order.length / columns);
  [canvas.width, canvas.height] = [columns * (TILE + GAP), rows * (TILE + GAP)];
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  order.forEach((code, place) => {
    const [x, y] = [(place % columns) * (TILE + GAP), Math.floor(place / columns) * (TILE + GAP)];
    context.globalAlpha = counts[code] ? 1 : 0.35;
    drawTile(context, sheet, code, x, y);
    if (counts[code]) return;
    context.globalAlpha = 1;
    context.strokeStyle = "#888";
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + TILE, y + TILE);
    context.moveTo(x + TILE, y);
    context.lineTo(x, y + TILE);
    context.stroke();
  });
}

/** One code of a sheet. */
function drawTile(context, { bitmap, columns, side }, code, x, y) {
  const [left, top] = [(code % columns) * side, Math.floor(code / columns) * side];
  context.drawImage(bitmap, left, top, side, side, x, y, TILE, TILE);
}

/** The stage of the picture: itself, its codes as colours, frames around places. */
function pictureStage() {
  const picture = element("img", { class: "ldm-code-picture", alt: "", draggable: "false" });
  const map = element("canvas", { class: "ldm-code-map" });
  const marks = ["halo", "hover", "halo", "chosen", "place"].map((name) => vector("path", { class: `ldm-code-${name}` }));
  const overlay = vector("svg", { preserveAspectRatio: "none", "aria-hidden": "true" }, ...marks);
  const node = element("div", { class: "ldm-code-stage", tabindex: 0, role: "application", "aria-label": "Codes of the picture" }, picture, map, overlay);
  return {
    node,
    picture,
    map,
    resize: (columns, rows) => {
      [map.width, map.height] = [columns, rows];
      overlay.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
    },
    mark: (hovered, chosen, place) => {
      const paths = [hovered, hovered, chosen, chosen, place];
      marks.forEach((mark, number) => mark.setAttribute("d", paths[number]));
    },
  };
}

/** The stage of the codes: the grid and frames around tiles. */
function codeStage() {
  const canvas = element("canvas", {});
  const marks = ["hover", "chosen"].map((name) => element("i", { class: `ldm-code-tile ldm-code-tile-${name}` }));
  const node = element("div", { class: "ldm-code-grid", tabindex: 0, role: "application", "aria-label": "Codes of the codebook" }, canvas, ...marks);
  const mark = (places, { columns, count }) => {
    const rows = Math.ceil(count / columns);
    places.forEach((place, number) => {
      marks[number].hidden = place < 0;
      const spot = { left: (place % columns) / columns, top: Math.floor(place / columns) / rows };
      const size = { width: TILE / (TILE + GAP) / columns, height: TILE / (TILE + GAP) / rows };
      for (const [side, share] of Object.entries({ ...spot, ...size })) marks[number].style[side] = `${100 * share}%`;
    });
  };
  return { node, canvas, mark };
}

/** Everything that is known, and how it is drawn. */
function viewOf() {
  const [left, right] = [pictureStage(), codeStage()];
  const known = { codes: null, rows: 0, columns: 0, sheets: {}, counts: null, order: [], kind: "context", byUse: true };
  const state = { hovered: -1, chosen: -1, place: null };
  const gridColumns = () => Math.max(1, Math.ceil(Math.sqrt(known.order.length)));
  const drawMap = () => {
    if (!known.codes) return;
    const context = left.map.getContext("2d");
    known.codes.forEach((code, place) => {
      context.fillStyle = tint(code);
      context.fillRect(place % known.columns, Math.floor(place / known.columns), 1, 1);
    });
  };
  const drawGrid = () => {
    const sheet = known.sheets[known.kind];
    if (!sheet) return;
    known.order = ordered(known.counts, known.byUse);
    drawCodes(right.canvas, { sheet, order: known.order, counts: known.counts, columns: gridColumns() });
  };
  const mark = () => {
    if (!known.codes || !known.counts) return;
    const [hovered, chosen] = [state.hovered, state.chosen].map((code) => placesOf(known.codes, known.columns, code));
    const place = state.place ? `M${state.place[1]} ${state.place[0]}h1v1h-1z` : "";
    left.mark(hovered, chosen, place);
    const tiles = [state.hovered, state.chosen].map((code) => known.order.indexOf(code));
    right.mark(tiles, { columns: gridColumns(), count: known.order.length });
  };
  return { left, right, known, state, gridColumns, drawMap, drawGrid, mark };
}

/** Where a pointer is on a grid of rows and columns; null: beside it. */
function cellAt(node, event, rows, columns) {
  const [x, y] = placeOn(node, event);
  const cell = [Math.floor(y * rows), Math.floor(x * columns)];
  return cell[0] >= 0 && cell[0] < rows && cell[1] >= 0 && cell[1] < columns ? cell : null;
}

/** Let pointers and arrow keys find and choose. */
function listen({ left, right, known, state, gridColumns }, { hover, choosePlace, chooseCode }) {
  const codeAt = (cell) => (cell ? known.codes[cell[0] * known.columns + cell[1]] : -1);
  const placeUnder = (event) => cellAt(left.node, event, known.rows, known.columns);
  const codeUnder = (event) => {
    const columns = gridColumns();
    const cell = cellAt(right.node, event, Math.ceil(known.order.length / columns), columns);
    return cell ? (known.order[cell[0] * columns + cell[1]] ?? -1) : -1;
  };
  left.node.addEventListener("pointermove", (event) => known.codes && hover(codeAt(placeUnder(event))));
  right.node.addEventListener("pointermove", (event) => hover(codeUnder(event)));
  for (const node of [left.node, right.node]) node.addEventListener("pointerleave", () => hover(-1));
  left.node.addEventListener("click", (event) => choosePlace(placeUnder(event)));
  right.node.addEventListener("click", (event) => chooseCode(codeUnder(event)));
  const walkPlace = (rows, columns) => () => {
    const [row, column] = state.place ?? [0, 0];
    const limit = (value, count) => Math.min(count - 1, Math.max(0, value));
    choosePlace([limit(row + rows, known.rows), limit(column + columns, known.columns)]);
  };
  const walkCode = (rows, columns) => () => {
    const place = known.order.indexOf(state.chosen) + rows * gridColumns() + columns;
    if (place >= 0 && place < known.order.length) chooseCode(known.order[place]);
  };
  const arrows = (walk) => ({ arrowleft: walk(0, -1), arrowright: walk(0, 1), arrowup: walk(-1, 0), arrowdown: walk(1, 0) });
  onKeys(left.node, arrows(walkPlace));
  onKeys(right.node, arrows(walkCode));
}

/** What is known of a code, in words, and the codes most like it. */
function describe({ known, state }, neighbours, choose) {
  const code = state.hovered >= 0 ? state.hovered : state.chosen;
  if (code < 0 || !known.codes) return ["Point at a place or a code; click to choose it."];
  const here = known.codes.reduce((count, other) => count + (other === code), 0);
  const total = known.counts.reduce((sum, count) => sum + count, 0);
  const share = known.counts[code] ? `${((100 * known.counts[code]) / total).toFixed(2)} % of the sample` : "dead: never in the sample";
  const lines = [element("span", {}, `Code ${code}: ${here} of ${known.codes.length} places here, ${share}.`)];
  if (neighbours.code !== code) return lines;
  const buttons = neighbours.codes.map((other, number) => tileButton(known, other, neighbours.distances[number], choose));
  return [...lines, element("span", {}, "Most like it:"), ...buttons];
}

/** A code as a button. */
function tileButton(known, code, distance, choose) {
  const tile = element("canvas", { width: TILE, height: TILE });
  const context = tile.getContext("2d");
  context.imageSmoothingEnabled = false;
  drawTile(context, known.sheets[known.kind], code, 0, 0);
  const button = tool("", `Distance ${distance.toFixed(2)}`, () => choose(code));
  button.append(tile, ` ${code}`);
  return button;
}

function render({ model, el }) {
  const view = viewOf();
  const { left, right, known, state } = view;
  const info = element("div", { class: "ldm-pad-legend ldm-code-info", "aria-live": "polite" });
  let neighbours = { code: -1 };
  const tell = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const update = () => {
    view.mark();
    info.replaceChildren(...describe(view, neighbours, chooseCode));
  };
  const hover = (code) => {
    if (code === state.hovered) return;
    state.hovered = code;
    update();
  };
  const chooseCode = (code) => {
    if (code < 0) return;
    state.chosen = code;
    tell("chosen", code);
    update();
  };
  const choosePlace = (place) => {
    if (!place) return;
    state.place = place;
    tell("place", place);
    update();
  };
  const shown = choice("What is shown of the picture", { image: ["Image", "What the decoder makes"], map: ["Index map", "A colour for each code"] }, (name) => {
    left.map.style.visibility = name === "map" ? "" : "hidden";
  });
  const redraw = () => (view.drawGrid(), update());
  const kind = choice("How codes are shown", { context: ["In pictures", "Mean of what is decoded where a code occurs"], alone: ["Alone", "Decoded without neighbours"] }, (name) => {
    known.kind = name;
    redraw();
  });
  const order = choice("Order of the codes", { use: ["By use", "The most frequent first"], number: ["By number", "As in the codebook"] }, (name) => {
    known.byUse = name === "use";
    redraw();
  });
  const side = (title, tools, stage) => element("div", { class: "ldm-code-side" }, element("div", { class: "ldm-pad-tools" }, element("strong", {}, title), ...tools), stage.node);
  claim(el, "ldm-code");
  el.append(side("Picture", [shown.node], left), side("Codebook", [kind.node, order.node], right), info);
  listen(view, { hover, choosePlace, chooseCode });

  const showPicture = ({ rows, columns }, [codes, png]) => {
    const bytes = bytesOf(codes);
    Object.assign(known, { rows, columns, codes: [...new Uint32Array(bytes.slice().buffer)] });
    left.resize(columns, rows);
    showBytes(left.picture, png, "image/png");
    view.drawMap();
    update();
  };
  const showCodes = async ({ columns, side: pixels }, [counts, context, alone]) => {
    known.counts = [...new Uint32Array(bytesOf(counts).slice().buffer)];
    for (const [name, bytes] of [["context", context], ["alone", alone]]) {
      known.sheets[name] = { bitmap: await decodeBytes(bytes, "image/png"), columns, side: pixels };
    }
    Object.assign(state, { chosen: -1, hovered: -1, place: null });
    if (model.get("chosen") >= 0) tell("chosen", -1); // codes of another codebook
    redraw();
  };
  const showNeighbours = (told) => {
    neighbours = told;
    update();
  };
  shown.set("image");
  kind.set("context");
  order.set("use");
  return receive(model, { picture: showPicture, codes: showCodes, neighbours: showNeighbours });
}

export default { render };
