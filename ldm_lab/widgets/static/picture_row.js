// Pictures side by side with what each is. All are enlarged at the same place, which the pointer or the arrow keys move.

const ZOOMS = [1, 2, 4, 8];
const STEP = 1 / 16; // of a side, for arrow keys
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

const within = (value, low, high) => Math.min(Math.max(value, low), high);

/** Draw the part of a picture that a place asks for, in whole pixels of at least the width of the tile. */
function drawPart(canvas, bitmap, { zoom, x, y }, tile) {
  const scale = Math.max(1, Math.ceil(tile / bitmap.width));
  [canvas.width, canvas.height] = [scale * bitmap.width, scale * bitmap.height];
  const [width, height] = [bitmap.width / zoom, bitmap.height / zoom];
  const left = within(x * bitmap.width - width / 2, 0, bitmap.width - width);
  const top = within(y * bitmap.height - height / 2, 0, bitmap.height - height);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(bitmap, left, top, width, height, 0, 0, canvas.width, canvas.height);
}

function render({ model, el }) {
  const place = { zoom: 1, x: 0.5, y: 0.5 };
  const row = element("div", { class: "ldm-row-pictures" });
  const zooms = element("div", { class: "ldm-row-zooms", role: "radiogroup", "aria-label": "Enlargement" });
  const empty = element("div", { class: "ldm-empty" });
  let tiles = [];

  const draw = () => {
    for (const { canvas, bitmap } of tiles) drawPart(canvas, bitmap, place, model.get("width"));
    for (const button of zooms.querySelectorAll("button")) button.setAttribute("aria-checked", Number(button.value) === place.zoom);
  };
  const go = (change) => (Object.assign(place, change), draw());
  const choose = (zoom) => element("button", { class: "ldm-button", type: "button", role: "radio", value: zoom, onclick: () => go({ zoom }) }, `×${zoom}`);
  zooms.append(element("span", {}, "Zoom"), ...ZOOMS.map(choose));

  const follows = ({ offsetX, offsetY, target }) => {
    if (place.zoom > 1) go({ x: offsetX / target.clientWidth, y: offsetY / target.clientHeight });
  };
  const press = (event) => {
    const step = ARROWS[event.key];
    const turn = { "+": 1, "-": -1 }[event.key];
    if (step) go({ x: within(place.x + step[0] / place.zoom, 0, 1), y: within(place.y + step[1] / place.zoom, 0, 1) });
    else if (turn) go({ zoom: ZOOMS[within(ZOOMS.indexOf(place.zoom) + turn, 0, ZOOMS.length - 1)] });
    else return;
    event.preventDefault();
  };
  const tileOf = (name, bitmap) => {
    const canvas = element("canvas", { class: "ldm-row-picture", role: "img", tabindex: model.get("zooms") ? 0 : -1, "aria-label": name });
    canvas.addEventListener("pointermove", follows);
    canvas.addEventListener("keydown", press);
    return { canvas, bitmap, figure: element("figure", {}, canvas, element("figcaption", {}, name)) };
  };
  const show = async ({ names, mime }, buffers) => {
    const bitmaps = await Promise.all(buffers.map((bytes) => decodeBytes(bytes, mime)));
    tiles.forEach(({ bitmap }) => bitmap.close());
    tiles = names.map((name, i) => tileOf(name, bitmaps[i]));
    row.style.setProperty("--ldm-row-count", tiles.length);
    row.replaceChildren(...tiles.map(({ figure }) => figure));
    el.replaceChildren(...(model.get("zooms") ? [zooms, row] : [row]));
    draw();
  };
  const describe = () => {
    empty.textContent = model.get("placeholder");
    el.setAttribute("role", "group");
    el.setAttribute("aria-label", model.get("label"));
    el.style.setProperty("--ldm-row-width", `${model.get("width")}px`);
  };
  claim(el, "ldm-row");
  el.replaceChildren(empty);
  return endAll(follow(model, ["placeholder", "label", "width"], describe), receive(model, { pictures: show }));
}

export default { render };
