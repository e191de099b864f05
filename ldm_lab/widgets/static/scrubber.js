// Frames of one or several sprite sheets, scrubbed without the kernel. The place is told to it when it is let go, if
// it wants to know.

const FRAME_MSEC = 120;

/** Draw a frame of a sheet onto a canvas. */
function drawFrame(canvas, sheet, place) {
  const { bitmap, columns, width, height } = sheet;
  const number = Math.min(place, sheet.count - 1);
  canvas.width = width;
  canvas.height = height;
  const [x, y] = [(number % columns) * width, Math.floor(number / columns) * height];
  canvas.getContext("2d").drawImage(bitmap, x, y, width, height, 0, 0, width, height);
}

function render({ model, el }) {
  const sheets = new Map();
  const canvas = element("canvas", { class: "ldm-scrub-frame", role: "img" });
  const slider = element("input", { type: "range", min: 0, max: 0, step: 1, value: 0 });
  const caption = element("output", { class: "ldm-scrub-caption" });
  const play = element("button", { class: "ldm-button", type: "button" }, "▶ Play");
  const tabs = element("div", { class: "ldm-scrub-tabs", role: "radiogroup", "aria-label": "What is shown" });
  const stage = element("div", { class: "ldm-scrub-stage" }, tabs, canvas);
  const empty = element("div", { class: "ldm-empty" });
  let [timer, chosen] = [null, null];

  const labels = () => model.get("labels");
  const label = () => labels()[slider.value] ?? "";
  const draw = () => {
    const sheet = sheets.get(chosen);
    if (!sheet) return;
    drawFrame(canvas, sheet, Number(slider.value));
    canvas.setAttribute("aria-label", `${chosen}, ${label()}`);
    slider.setAttribute("aria-valuetext", label());
    caption.textContent = label();
  };
  const choose = (name) => {
    chosen = name;
    for (const tab of tabs.children) tab.setAttribute("aria-checked", tab.textContent === name);
    draw();
  };
  const letGo = () => {
    if (!model.get("reports")) return;
    model.set("index", Number(slider.value));
    model.save_changes();
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "▶ Play";
  };
  const advance = () => {
    slider.value = Number(slider.value) + 1;
    draw();
    if (Number(slider.value) >= Number(slider.max)) {
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
  slider.addEventListener("input", () => (stop(), draw()));
  slider.addEventListener("change", letGo);
  play.addEventListener("click", toggle);

  const show = async ({ sheets: described, mimes, columns, width, height, count }, buffers) => {
    const bitmaps = await Promise.all(buffers.map((bytes, i) => decodeBytes(bytes, mimes[i])));
    for (const { bitmap } of sheets.values()) bitmap.close();
    sheets.clear();
    described.forEach((name, i) => sheets.set(name, { bitmap: bitmaps[i], columns, width, height, count }));
    const tab = (name) => element("button", { class: "ldm-button", type: "button", role: "radio", onclick: () => choose(name) }, name);
    tabs.replaceChildren(...(described.length > 1 ? described.map(tab) : []));
    slider.max = count - 1;
    slider.value = Math.min(model.get("index"), count - 1);
    el.replaceChildren(stage, element("div", { class: "ldm-scrub-bar" }, play, slider, caption));
    choose(sheets.has(chosen) ? chosen : described[0]);
  };
  const describe = () => {
    slider.setAttribute("aria-label", model.get("label"));
    empty.textContent = model.get("placeholder");
    el.style.setProperty("--ldm-frame-width", `${model.get("width")}px`);
    draw();
  };
  const jump = () => {
    slider.value = model.get("index");
    draw();
  };
  claim(el, "ldm-scrub");
  el.replaceChildren(empty);
  return endAll(
    follow(model, ["label", "labels", "placeholder", "width"], describe),
    follow(model, ["index"], jump),
    receive(model, { sheets: show }),
    stop,
  );
}

export default { render };
