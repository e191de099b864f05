// A run under the microscope: the picture, the channels of its latent and the words of its prompt, linked by the cell
// that is looked at. All maps are here; the kernel is asked for the decoder's influence of a cell that is clicked.

const SPARK = { width: 120, height: 22 };

/** What the kernel delivered, as things to paint with. */
async function readRecord(content, [sheet, latents, densities, diverging, sequential]) {
  return {
    ...content,
    sheet: await decodeBytes(sheet, content.frames.mime),
    latents: readPlanes(content.latents, latents),
    densities: readPlanes(content.densities, densities),
    tables: { diverging: readTable(diverging), sequential: readTable(sequential) },
  };
}

/** Draw a frame of the record's sheet. */
function drawFrame(canvas, { sheet, frames: { columns, width, height } }, number) {
  Object.assign(canvas, { width, height });
  const [x, y] = [(number % columns) * width, Math.floor(number / columns) * height];
  canvas.getContext("2d").drawImage(sheet, x, y, width, height, 0, 0, width, height);
}

/** A channel: its map, the number of the cell, how often its numbers occur. */
function channelTile(number, { limit, normal }) {
  const stage = cellStage(`Channel ${number} of the latent`);
  const value = element("span", { class: "ldm-cells-number" });
  const head = element("div", { class: "ldm-cells-head" }, element("span", {}, `Channel ${number}`), value);
  const plot = densityPlot({ limit, normal });
  const tile = element("div", { class: "ldm-micro-channel" }, head, stage.stage, plot.svg);
  return { ...stage, tile, value, plot };
}

/** A word: a button that lays its heat map over the picture, and the cell's attention to it over the steps. */
function wordRow(text, choose) {
  const button = element("button", { class: "ldm-button", type: "button", "aria-pressed": "false", onclick: choose }, text);
  const line = drawn("path", { class: "ldm-micro-line" });
  const dot = drawn("circle", { class: "ldm-micro-dot", r: 3, visibility: "hidden" });
  const svg = drawn("svg", { class: "ldm-micro-spark", ...SPARK, "aria-hidden": "true" }, line, dot);
  const share = element("span", { class: "ldm-cells-number" });
  const show = (values, step, most) => {
    const x = (i) => (values.length === 1 ? SPARK.width / 2 : 3 + (i * (SPARK.width - 6)) / (values.length - 1));
    const y = (value) => SPARK.height - 2 - ((SPARK.height - 5) * value) / most;
    const known = values.map((value, i) => [x(i), y(value)]).filter(([, height]) => !Number.isNaN(height));
    const isKnown = values.length > 0 && !Number.isNaN(values[step]);
    line.setAttribute("d", known.length ? `M${known.map((point) => point.join(",")).join("L")}` : "");
    dot.setAttribute("visibility", isKnown ? "visible" : "hidden");
    if (isKnown) dot.setAttribute("cx", x(step)), dot.setAttribute("cy", y(values[step]));
    share.textContent = values.length === 0 ? "" : isKnown ? `${(100 * values[step]).toFixed(1)} %` : "not recorded";
  };
  return { row: element("div", { class: "ldm-micro-word" }, button, svg, share), button, show };
}

/** The frame of the view; what fills it comes with the record. */
function layOut() {
  const picture = cellStage("The predicted picture; arrow keys move the cell, Enter measures its influence");
  picture.stage.tabIndex = 0;
  const heat = element("canvas", { class: "ldm-micro-heat" });
  picture.stage.insertBefore(heat, picture.canvas.nextSibling);
  const [channels, words] = [element("div", { class: "ldm-micro-channels" }), element("div", { class: "ldm-micro-words" })];
  const slider = element("input", { type: "range", min: 0, max: 0, step: 1, value: 0, "aria-label": "Step" });
  const caption = element("output", { class: "ldm-micro-step" });
  const place = element("div", { class: "ldm-micro-place", role: "status" });
  const shown = element("div", { class: "ldm-note" });
  const part = (kind, title, ...children) =>
    element("div", { class: `ldm-micro-part ldm-micro-${kind}` }, element("strong", {}, title), ...children);
  const all = element(
    "div",
    { class: "ldm-micro-parts" },
    part("picture", "Predicted picture", picture.stage, shown),
    part("latent", "Its latent", channels),
    part("attention", "Attention of the cell to each word", words),
  );
  const bar = element("div", { class: "ldm-micro-bar" }, element("label", {}, "Step"), slider, caption);
  return { picture, heat, channels, words, slider, caption, place, shown, nodes: [all, place, bar] };
}

/** What is looked at, and what is shown of it. */
class Microscope {
  constructor(model, el) {
    [this.model, this.el, this.view] = [model, el, layOut()];
    [this.record, this.attention, this.influence, this.tiles, this.rows] = [null, null, null, [], []];
    [this.step, this.cell, this.pinned, this.word] = [0, null, null, null];
    this.listen(this.view.picture.stage);
    this.view.picture.stage.addEventListener("keydown", (event) => this.press(event));
    this.view.slider.addEventListener("input", () => this.goTo(Number(this.view.slider.value)));
    this.view.slider.addEventListener("change", () => this.pinned !== null && this.report());
  }

  // What the kernel delivers.

  async takeRecord(content, buffers) {
    this.record = await readRecord(content, buffers);
    [this.step, this.cell, this.pinned, this.influence] = [content.labels.length - 1, null, null, null];
    this.tiles = Array.from({ length: content.num_channels }, (_, number) => channelTile(number, content));
    this.view.channels.replaceChildren(...this.tiles.map(({ tile }) => tile));
    this.tiles.forEach(({ stage }) => this.listen(stage));
    this.view.slider.max = this.step; // before the value, which it limits
    this.view.slider.value = this.step;
    this.el.replaceChildren(...this.view.nodes);
    this.forgetWords();
    this.showStep();
  }

  forgetWords() {
    [this.attention, this.rows, this.word] = [null, [], null];
    this.view.words.replaceChildren(element("div", { class: "ldm-note" }, this.model.get("hint")));
  }

  takeWords(content, [planes]) {
    this.attention = { ...content, planes: readPlanes(content.planes, planes) };
    this.rows = content.words.map((text, number) => wordRow(text, () => this.chooseWord(number)));
    this.view.words.replaceChildren(...this.rows.map(({ row }) => row));
    this.chooseWord(null);
  }

  takeInfluence(content, [planes]) {
    this.influence = { ...content, planes: readPlanes(content.planes, planes) };
    this.pinned = this.cell = content.cell;
    this.chooseWord(null);
  }

  // What a person does.

  listen(stage) {
    stage.addEventListener("pointermove", (event) => this.point(cellUnder(event, this.record.latents)));
    stage.addEventListener("pointerleave", () => this.point(this.pinned));
    stage.addEventListener("click", (event) => this.hold(cellUnder(event, this.record.latents)));
  }

  press(event) {
    const next = cellBeside(this.cell, event.key, this.record.latents);
    if (next !== null) this.point(next);
    else if (event.key === "Enter" && this.cell !== null) this.hold(this.cell);
    else return;
    event.preventDefault();
  }

  point(cell) {
    this.cell = cell;
    this.showCell();
  }

  hold(cell) {
    this.pinned = this.cell = cell;
    this.chooseWord(null);
    this.report();
  }

  goTo(step) {
    this.step = step;
    this.showStep();
  }

  chooseWord(word) {
    this.word = this.word === word ? null : word;
    this.rows.forEach(({ button }, number) => button.setAttribute("aria-pressed", String(number === this.word)));
    this.showStep();
  }

  report() {
    const { width } = this.record.latents;
    this.model.set("pinned", [Math.floor(this.pinned / width), this.pinned % width, this.step]);
    this.model.save_changes();
  }

  // What is shown.

  showStep() {
    drawFrame(this.view.picture.canvas, this.record, this.step);
    this.view.caption.textContent = this.record.labels[this.step];
    this.view.slider.setAttribute("aria-valuetext", this.record.labels[this.step]);
    this.tiles.forEach((tile, channel) => this.showChannel(tile, channel));
    this.showHeat();
    this.showCell();
  }

  showChannel({ canvas, plot }, channel) {
    const { latents, densities, limits, num_channels: count, tables } = this.record;
    const limit = limits[channel];
    paintPlane(canvas, latents, this.step * count + channel, { low: -limit, high: limit, table: tables.diverging });
    const bin = (_, number) => densities.at(this.step, channel * densities.width + number);
    plot.show(Array.from({ length: densities.width }, bin));
  }

  showHeat() {
    const { heat, shown } = this.view;
    const { influence, attention, step, word } = this;
    const isInfluence = word === null && influence?.step === step && influence.cell === this.pinned;
    const paint = (planes, plane, high) =>
      paintPlane(heat, planes, plane, { low: 0, high, table: this.record.tables.sequential, fades: true });
    heat.hidden = word === null && !isInfluence;
    if (word !== null) {
      const plane = step * attention.words.length + word;
      const most = Math.max(1e-9, attention.planes.most(plane));
      paint(attention.planes, plane, most);
      shown.textContent = `Where it looks at “${attention.words[word]}”: yellow is ${(100 * most).toFixed(1)} % of the attention there.`;
    } else if (isInfluence) {
      paint(influence.planes, 0, influence.most);
      shown.textContent = influence.text;
    } else shown.textContent = "Click a cell to measure what the decoder makes of it.";
  }

  showCell() {
    const { latents, num_channels: count } = this.record;
    this.view.picture.show(this.cell, latents);
    this.tiles.forEach((tile, channel) => {
      const value = this.cell === null ? null : latents.at(this.step * count + channel, this.cell);
      tile.show(this.cell, latents);
      tile.value.textContent = value === null ? "" : spell(value, 3);
      tile.plot.mark(value);
    });
    this.rows.forEach((row, word) => row.show(this.attentionOverSteps(word), this.step, this.attention.most));
    this.view.place.textContent = this.describeCell();
  }

  attentionOverSteps(word) {
    if (this.cell === null) return [];
    const { planes, words } = this.attention;
    return this.record.labels.map((_, step) => planes.at(step * words.length + word, this.cell));
  }

  describeCell() {
    if (this.cell === null) return "Point at the picture or at a channel to look at a cell.";
    const { latents: { width }, frames: { factor } } = this.record;
    const [row, column] = [Math.floor(this.cell / width), this.cell % width];
    const pixels = (place) => `${factor * place}–${factor * (place + 1) - 1}`;
    const held = this.cell === this.pinned ? ", held" : "";
    return `Cell in row ${row}, column ${column}: pixels ${pixels(row)} down, ${pixels(column)} across${held}.`;
  }
}

function render({ model, el }) {
  const microscope = new Microscope(model, el);
  const empty = element("div", { class: "ldm-empty" });
  let turn = Promise.resolve(); // a record is decoded before what belongs to it is shown
  const inTurn = (handler) => (content, buffers) => {
    turn = turn.then(() => handler(content, buffers));
  };
  // What comes while a view opens may belong to a record from before; the kernel delivers both once more.
  const belonging = (handler) => inTurn((content, buffers) => microscope.record && handler(content, buffers));
  claim(el, "ldm-micro");
  el.replaceChildren(empty);
  return endAll(
    follow(model, ["placeholder"], () => { empty.textContent = model.get("placeholder"); }),
    follow(model, ["hint"], () => microscope.attention === null && microscope.forgetWords()),
    receive(model, {
      record: inTurn((content, buffers) => microscope.takeRecord(content, buffers)),
      attention: belonging((content, buffers) => microscope.takeWords(content, buffers)),
      influence: belonging((content, buffers) => microscope.takeInfluence(content, buffers)),
    }),
  );
}

export default { render };
