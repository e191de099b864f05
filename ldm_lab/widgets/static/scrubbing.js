// Frames on sprite sheets and the bar to move through them; what is drawn beside them follows by `onDraw(place)`.

const FRAME_MSEC = 120;

/** Draw a frame of a sheet onto a canvas. */
function drawFrame(canvas, sheet, place) {
  const { bitmap, columns, width, height, count } = sheet;
  const number = Math.min(place, count - 1);
  canvas.width = width;
  canvas.height = height;
  const [x, y] = [(number % columns) * width, Math.floor(number / columns) * height];
  canvas.getContext("2d").drawImage(bitmap, x, y, width, height, 0, 0, width, height);
}

/** A scrubber over the traits label, labels, index and reports. */
function makeScrubber(model, onDraw = () => {}) {
  const sheets = new Map();
  const canvas = element("canvas", { class: "ldm-scrub-frame", role: "img" });
  const slider = element("input", { type: "range", min: 0, max: 0, step: 1, value: 0 });
  const caption = element("output", { class: "ldm-scrub-caption" });
  const play = element("button", { class: "ldm-button", type: "button" }, "▶ Play");
  const tabs = element("div", { class: "ldm-scrub-tabs", role: "radiogroup", "aria-label": "What is shown" });
  let [timer, chosen] = [null, null];

  const place = () => Number(slider.value);
  const label = () => model.get("labels")[place()] ?? "";
  const draw = () => {
    const sheet = sheets.get(chosen);
    if (!sheet) return;
    drawFrame(canvas, sheet, place());
    canvas.setAttribute("aria-label", `${chosen}, ${label()}`);
    slider.setAttribute("aria-valuetext", label());
    caption.textContent = label();
    onDraw(place());
  };
  const choose = (name) => {
    chosen = name;
    for (const tab of tabs.children) tab.setAttribute("aria-checked", tab.textContent === name);
    draw();
  };
  const letGo = () => {
    if (!model.get("reports")) return;
    model.set("index", place());
    model.save_changes();
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "▶ Play";
  };
  const advance = () => {
    slider.value = place() + 1;
    draw();
    if (place() >= Number(slider.max)) {
      stop();
      letGo();
    }
  };
  const toggle = () => {
    if (timer) return stop(), letGo();
    if (slider.value === slider.max) slider.value = 0;
    timer = setInterval(advance, FRAME_MSEC);
    play.textContent = "❚❚ Pause";
  };
  const move = (to) => {
    slider.value = to;
    draw();
  };
  slider.addEventListener("input", () => (stop(), draw()));
  slider.addEventListener("change", letGo);
  play.addEventListener("click", toggle);

  const load = async ({ sheets: described, count, follow }, buffers) => {
    const bitmaps = await Promise.all(buffers.map((bytes, i) => decodeBytes(bytes, described[i].mime)));
    for (const { bitmap } of sheets.values()) bitmap.close();
    sheets.clear();
    described.forEach((sheet, i) => sheets.set(sheet.name, { ...sheet, count, bitmap: bitmaps[i] }));
    const tab = ({ name }) =>
      element("button", { class: "ldm-button", type: "button", role: "radio", onclick: () => choose(name) }, name);
    tabs.replaceChildren(...(described.length > 1 ? described.map(tab) : []));
    slider.max = count - 1;
    slider.value = follow ? count - 1 : Math.min(model.get("index"), count - 1);
    choose(sheets.has(chosen) ? chosen : described[0].name);
  };
  const describe = () => {
    slider.setAttribute("aria-label", model.get("label"));
    draw();
  };
  const copyTo = (target) => sheets.has(chosen) && drawFrame(target, sheets.get(chosen), place());

  return {
    frame: element("div", { class: "ldm-scrub-stage" }, tabs, canvas),
    bar: element("div", { class: "ldm-scrub-bar" }, play, slider, caption),
    load, describe, move, stop, copyTo, label,
    shown: () => chosen,
  };
}
