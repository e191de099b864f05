// Samples on a plane. Points are dots; where there is room they become pictures. Hovering, moving, enlarging and drawing a
// lasso need no kernel; a click on empty space asks it what lies there.

const SIDE = 480; // pixels of the map
const SPAN = 2.3; // of map coordinates across it at zoom 1; samples lie between -1 and 1
const ROOM = 44; // a picture for each square of so many pixels
const REACH = 12; // pixels within which a point is meant
const MOVES = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** A zoom that is neither too small nor too large. */
function within(zoom) {
  return Math.min(60, Math.max(0.5, zoom));
}

/** Whether a place lies inside a polygon: an odd number of its edges lies to the right. */
function isInside([x, y], polygon) {
  let inside = false;
  polygon.forEach(([x1, y1], i) => {
    const [x2, y2] = polygon[(i + 1) % polygon.length];
    if (y1 > y !== y2 > y && x < x1 + ((y - y1) * (x2 - x1)) / (y2 - y1)) inside = !inside;
  });
  return inside;
}

/** A picture of a sample, cut out of the sheet. */
function thumbnail({ sheet, frames: { columns, width, height } }, number, side) {
  const canvas = element("canvas", { width, height, class: "ldm-scatter-thumb" });
  const [x, y] = [(number % columns) * width, Math.floor(number / columns) * height];
  canvas.getContext("2d").drawImage(sheet, x, y, width, height, 0, 0, width, height);
  canvas.style.width = `${side}px`;
  return canvas;
}

/** Colours of the theme, which a canvas cannot take from a style sheet. */
function themeOf(el) {
  const style = getComputedStyle(el);
  const color = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  return {
    dot: color("--jp-brand-color1", "#1976d2"),
    text: color("--jp-ui-font-color1", "#222"),
    back: color("--jp-layout-color2", "#eee"),
  };
}

class Scatter {
  constructor(model, el) {
    [this.model, this.el, this.record] = [model, el, null];
    Object.assign(this, { zoom: 1, centre: [0, 0], selected: new Set(), hovered: null, blend: null, lasso: null, drag: null });
    this.canvas = element("canvas", { class: "ldm-scatter-map", width: SIDE, height: SIDE, tabindex: 0, role: "application" });
    this.info = element("div", { class: "ldm-scatter-info" });
    this.chosen = element("div", { class: "ldm-scatter-chosen" });
    this.mixed = element("div", { class: "ldm-scatter-mixed" });
    this.lassoing = this.button("Lasso", () => this.toggleLasso());
    this.bar = element("div", { class: "ldm-scatter-bar" }, this.lassoing, this.button("+", () => this.enlarge(1.4)),
      this.button("−", () => this.enlarge(1 / 1.4)), this.button("Whole map", () => this.reset()));
    for (const kind of ["pointerdown", "pointermove", "pointerup", "pointerleave", "keydown"])
      this.canvas.addEventListener(kind, (event) => this[kind](event));
    this.canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  button(text, onclick) {
    return element("button", { class: "ldm-button", type: "button", onclick }, text);
  }

  // What the kernel delivers.

  async takeSamples(content, [points, sheet]) {
    const data = points.buffer.slice(points.byteOffset, points.byteOffset + points.byteLength);
    const flat = new Float32Array(data);
    const places = Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
    this.record = { ...content, places, sheet: await decodeBytes(sheet, content.frames.mime) };
    Object.assign(this, { selected: new Set(), hovered: null, blend: null });
    const side = element("div", { class: "ldm-scatter-side" }, this.info, this.mixed);
    this.el.replaceChildren(this.bar, element("div", { class: "ldm-scatter-parts" }, this.canvas, side), this.chosen);
    this.canvas.setAttribute("aria-label", `Map of ${places.length} samples: arrows move it, plus and minus enlarge it, Enter asks what lies in its middle`);
    this.mixed.replaceChildren();
    this.reset();
    this.showChosen();
  }

  takeBlend(content, [png]) {
    this.blend = content;
    const image = element("img", { class: "ldm-scatter-blend", alt: "What the decoder makes of that place" });
    showBytes(image, png, "image/png");
    const badge = element("div", { class: "ldm-scatter-badge", "data-far": content.far }, content.text);
    this.mixed.replaceChildren(element("strong", {}, "At the cross"), image, badge);
    this.draw();
  }

  // Between the map and the screen.

  get scale() {
    return (this.zoom * SIDE) / SPAN;
  }

  toScreen([x, y]) {
    return [SIDE / 2 + this.scale * (x - this.centre[0]), SIDE / 2 - this.scale * (y - this.centre[1])];
  }

  toMap([left, top]) {
    return [this.centre[0] + (left - SIDE / 2) / this.scale, this.centre[1] - (top - SIDE / 2) / this.scale];
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height];
  }

  nearest([left, top]) {
    let [best, least] = [null, REACH ** 2];
    this.record.places.forEach((place, number) => {
      const [x, y] = this.toScreen(place);
      const distance = (x - left) ** 2 + (y - top) ** 2;
      if (distance < least) [best, least] = [number, distance];
    });
    return best;
  }

  // What a person does.

  pointerdown(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.drag = { from: this.placeOf(event), centre: this.centre, moved: false };
    if (this.isLassoing) this.lasso = [this.toMap(this.drag.from)];
  }

  pointermove(event) {
    const place = this.placeOf(event);
    if (!this.drag) return this.hover(this.nearest(place));
    const [dx, dy] = [place[0] - this.drag.from[0], place[1] - this.drag.from[1]];
    if (Math.hypot(dx, dy) > 4) this.drag.moved = true;
    if (this.lasso) this.lasso.push(this.toMap(place));
    else if (this.drag.moved) this.moveTo(this.drag.centre, dx, dy);
    this.draw();
  }

  pointerup(event) {
    const { drag, lasso } = this;
    [this.drag, this.lasso] = [null, null];
    if (lasso && drag.moved) this.select(this.record.places.flatMap((place, number) => (isInside(place, lasso) ? [number] : [])));
    else if (drag && !drag.moved) this.click(this.placeOf(event));
    this.draw();
  }

  pointerleave() {
    if (!this.drag) this.hover(null);
  }

  keydown(event) {
    const move = MOVES[event.key];
    const middle = [SIDE / 2, SIDE / 2];
    if (move) this.moveTo(this.centre, 40 * move[0], 40 * move[1]);
    else if (event.key === "+") this.enlarge(1.4);
    else if (event.key === "-") this.enlarge(1 / 1.4);
    else if (event.key === "Enter") this.click(middle);
    else return;
    this.hover(this.nearest(middle));
    event.preventDefault();
  }

  wheel(event) {
    event.preventDefault();
    const before = this.toMap(this.placeOf(event));
    this.zoom = within(this.zoom * (event.deltaY < 0 ? 1.15 : 1 / 1.15));
    const after = this.toMap(this.placeOf(event));
    this.centre = this.centre.map((value, i) => value + before[i] - after[i]);
    this.draw();
  }

  moveTo(centre, dx, dy) {
    this.centre = [centre[0] - dx / this.scale, centre[1] + dy / this.scale];
    this.draw();
  }

  enlarge(factor) {
    this.zoom = within(this.zoom * factor);
    this.draw();
  }

  reset() {
    Object.assign(this, { zoom: 1, centre: [0, 0] });
    this.hover(null);
  }

  toggleLasso() {
    this.isLassoing = !this.isLassoing;
    this.lassoing.setAttribute("aria-pressed", String(Boolean(this.isLassoing)));
  }

  click(place) {
    const number = this.nearest(place);
    if (number !== null) return this.select([number]);
    this.model.set("asked", this.toMap(place));
    this.model.save_changes();
  }

  select(numbers) {
    this.selected = new Set(numbers);
    this.model.set("selected", numbers);
    this.model.save_changes();
    this.showChosen();
  }

  // What is shown.

  hover(number) {
    this.hovered = number;
    const { info, record } = this;
    const hint = "Point at a sample to see it; click empty space for what lies there; draw a lasso around several.";
    if (number === null) info.replaceChildren(element("div", { class: "ldm-note" }, hint));
    else info.replaceChildren(thumbnail(record, number, 96), element("div", {}, record.names[number]));
    this.draw();
  }

  showChosen() {
    const [numbers, most] = [[...this.selected], 60];
    const title = `${numbers.length} chosen${numbers.length > most ? `, the first ${most} are shown` : ""}`;
    const pictures = numbers.slice(0, most).map((number) => thumbnail(this.record, number, 40));
    this.chosen.replaceChildren(...(numbers.length ? [element("strong", {}, title), element("div", { class: "ldm-scatter-grid" }, ...pictures)] : []));
    this.draw();
  }

  draw() {
    if (!this.record) return;
    const [context, theme] = [this.canvas.getContext("2d"), themeOf(this.el)];
    context.fillStyle = theme.back;
    context.fillRect(0, 0, SIDE, SIDE);
    this.drawSamples(context, theme);
    if (this.blend) this.drawBlend(context, theme);
    if (this.lasso) this.drawLasso(context, theme);
  }

  drawSamples(context, theme) {
    const taken = new Set();
    const places = this.record.places.map((place) => this.toScreen(place));
    const isShown = ([x, y]) => x > -ROOM && y > -ROOM && x < SIDE + ROOM && y < SIDE + ROOM;
    const pictures = places.map((place, number) => {
      const key = `${Math.floor(place[0] / ROOM)},${Math.floor(place[1] / ROOM)}`;
      if (!isShown(place) || taken.has(key)) return null;
      taken.add(key);
      return number;
    });
    context.fillStyle = theme.dot;
    places.forEach(([x, y]) => context.fillRect(x - 2, y - 2, 4, 4));
    pictures.forEach((number) => number !== null && this.drawPicture(context, number, places[number], 32));
    for (const number of this.selected) this.ring(context, places[number], theme);
    if (this.hovered === null) return;
    this.drawPicture(context, this.hovered, places[this.hovered], 48);
    this.outline(context, places[this.hovered], theme.text, 26);
  }

  drawPicture(context, number, [x, y], side) {
    const { sheet, frames: { columns, width, height } } = this.record;
    const scale = side / Math.max(width, height);
    const [left, top] = [(number % columns) * width, Math.floor(number / columns) * height];
    context.drawImage(sheet, left, top, width, height, x - (scale * width) / 2, y - (scale * height) / 2, scale * width, scale * height);
  }

  outline(context, [x, y], color, reach) {
    Object.assign(context, { strokeStyle: color, lineWidth: 2 });
    context.strokeRect(x - reach, y - reach, 2 * reach, 2 * reach);
  }

  ring(context, [x, y], { dot, text }) {
    context.beginPath();
    context.arc(x, y, 5, 0, 2 * Math.PI);
    Object.assign(context, { fillStyle: dot, strokeStyle: text, lineWidth: 1.5 });
    context.fill();
    context.stroke();
  }

  drawBlend(context, theme) {
    const [x, y] = this.toScreen([this.blend.x, this.blend.y]);
    Object.assign(context, { strokeStyle: theme.text, lineWidth: 1.5 });
    context.beginPath();
    for (const number of this.blend.neighbours) context.moveTo(x, y), context.lineTo(...this.toScreen(this.record.places[number]));
    context.stroke();
    context.lineWidth = 3;
    context.beginPath();
    for (const side of [-1, 1]) context.moveTo(x - 8, y - 8 * side), context.lineTo(x + 8, y + 8 * side);
    context.stroke();
  }

  drawLasso(context, theme) {
    Object.assign(context, { strokeStyle: theme.text, lineWidth: 2 });
    context.beginPath();
    this.lasso.forEach((place) => context.lineTo(...this.toScreen(place)));
    context.stroke();
  }
}

function render({ model, el }) {
  const scatter = new Scatter(model, el);
  const empty = element("div", { class: "ldm-empty" });
  let turn = Promise.resolve(); // samples are decoded before what belongs to them is shown
  const inTurn = (handler) => (content, buffers) => {
    turn = turn.then(() => handler(content, buffers));
  };
  const theme = new MutationObserver(() => scatter.draw());
  theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name"] });
  claim(el, "ldm-scatter");
  el.replaceChildren(empty);
  return endAll(
    follow(model, ["placeholder"], () => { empty.textContent = model.get("placeholder"); }),
    receive(model, {
      samples: inTurn((content, buffers) => scatter.takeSamples(content, buffers)),
      // What comes while a view opens may belong to samples from before; the kernel delivers both once more.
      blend: inTurn((content, buffers) => scatter.record && scatter.takeBlend(content, buffers)),
    }),
    () => theme.disconnect(),
  );
}

export default { render };
