// The channels of one latent: numbers, how often they occur, how coarse they are; the cell that is pointed at is shown in
// all of them, without the kernel.

/** Power by frequency, in decades; the dashed line is white noise of variance 1. */
function spectrumPlot(decades, { low, high }) {
  const [width, height] = [100, 34];
  const y = (value) => height - (height * Math.max(0, value - low)) / (high - low);
  const x = (ring) => (ring * width) / Math.max(1, decades.length - 1);
  const box = { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  const level = drawn("path", { class: "ldm-plot-normal", d: `M0,${y(0)}H${width}` });
  if (decades.some((value) => value === null)) return drawn("svg", { class: "ldm-plot", ...box });
  const line = drawn("path", { class: "ldm-plot-line", d: `M${decades.map((value, i) => `${x(i)},${y(value)}`).join("L")}` });
  return drawn("svg", { class: "ldm-plot", ...box }, level, line);
}

/** Lines of a tile on what the channel is like. */
function factLines(facts, title) {
  const line = ([name, value]) => element("div", { class: "ldm-cells-head" }, element("span", {}, name), element("span", {}, value));
  return element("div", { class: "ldm-latent-facts", role: "group", "aria-label": title }, ...Object.entries(facts).map(line));
}

/** A channel with all that is said of it. */
function latentTile(number, content) {
  const name = `Channel ${number}`;
  const stage = cellStage(`${name}; arrow keys move the cell`);
  stage.stage.tabIndex = 0;
  const value = element("span", { class: "ldm-cells-number" });
  const head = element("div", { class: "ldm-cells-head" }, element("strong", {}, name), value);
  const plot = densityPlot(content);
  const spectrum = spectrumPlot(content.spectra[number], content.decades);
  const facts = factLines(content.facts[number], name);
  const broken = element("div", { class: "ldm-latent-broken" }, content.broken[number]);
  const tile = element("div", { class: "ldm-latent-tile" }, head, stage.stage, plot.svg, spectrum, facts, broken);
  return { ...stage, tile, value, plot };
}

/** Paint all channels, and what is the same for a delivery. */
function paintTiles(tiles, { content, planes, densities, table }) {
  tiles.forEach((tile, channel) => {
    const limit = content.limits[channel];
    paintPlane(tile.canvas, planes, channel, { low: -limit, high: limit, table });
    const bin = (_, number) => densities.at(0, channel * densities.width + number);
    tile.plot.show(Array.from({ length: densities.width }, bin));
  });
}

function render({ model, el }) {
  const row = element("div", { class: "ldm-latent-tiles" });
  const place = element("div", { class: "ldm-latent-place", role: "status" });
  const note = element("div", { class: "ldm-note" });
  const empty = element("div", { class: "ldm-empty" });
  let [tiles, planes, cell] = [[], null, null];

  const point = (next) => {
    cell = next;
    tiles.forEach((tile, channel) => {
      const value = cell === null ? null : planes.at(channel, cell);
      tile.show(cell, planes);
      tile.value.textContent = value === null ? "" : spell(value, 3);
      tile.plot.mark(value);
    });
    const [row, column] = [Math.floor(cell / planes.width), cell % planes.width];
    place.textContent = cell === null ? "Point at a channel to read a cell." : `Cell in row ${row}, column ${column}.`;
  };
  const press = (event) => {
    const next = cellBeside(cell, event.key, planes);
    if (next === null) return;
    point(next);
    event.preventDefault();
  };
  const listen = ({ stage }) => {
    stage.addEventListener("pointermove", (event) => point(cellUnder(event, planes)));
    stage.addEventListener("pointerleave", () => point(null));
    stage.addEventListener("keydown", press);
  };
  const show = (content, [numbers, counts, table]) => {
    planes = readPlanes(content.planes, numbers);
    const densities = readPlanes(content.densities, counts);
    tiles = content.limits.map((_, number) => latentTile(number, content));
    tiles.forEach(listen);
    row.style.setProperty("--ldm-latent-count", tiles.length);
    row.replaceChildren(...tiles.map(({ tile }) => tile));
    paintTiles(tiles, { content, planes, densities, table: readTable(table) });
    note.textContent = content.note;
    el.replaceChildren(row, place, note);
    point(null);
  };
  claim(el, "ldm-latent");
  el.replaceChildren(empty);
  return endAll(
    follow(model, ["placeholder"], () => { empty.textContent = model.get("placeholder"); }),
    receive(model, { latent: show }),
  );
}

export default { render };
