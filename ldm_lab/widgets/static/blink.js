// Two pictures in turn on one place: what differs between them moves, and the eye finds it at once.

const PAUSE_MSEC = 600; // fewer than three changes a second, which is safe for those whom flashes harm

function render({ model, el }) {
  const images = [element("img", { draggable: "false" }), element("img", { draggable: "false", hidden: "" })];
  const caption = element("output", { class: "ldm-blink-caption" });
  const blink = element("button", { class: "ldm-button", type: "button", "aria-pressed": "false" }, "Blink");
  const swap = element("button", { class: "ldm-button", type: "button" }, "Swap");
  const empty = element("div", { class: "ldm-empty" });
  let [shown, timer] = [0, null];

  const show = (number) => {
    shown = number;
    images.forEach((image, i) => { image.hidden = i !== shown; });
    caption.textContent = model.get("names")[shown] ?? "";
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    blink.setAttribute("aria-pressed", "false");
  };
  blink.addEventListener("click", () => {
    if (timer) return stop();
    timer = setInterval(() => show(1 - shown), PAUSE_MSEC);
    blink.setAttribute("aria-pressed", "true");
  });
  swap.addEventListener("click", () => (stop(), show(1 - shown)));

  const take = ({ mime }, buffers) => {
    buffers.forEach((bytes, i) => showBytes(images[i], bytes, mime));
    const bar = element("div", { class: "ldm-blink-bar" }, blink, swap, caption);
    el.replaceChildren(bar, element("div", { class: "ldm-blink-stage" }, ...images));
    show(shown);
  };
  const describe = () => {
    empty.textContent = model.get("placeholder");
    images.forEach((image, i) => { image.alt = model.get("names")[i] ?? ""; });
    el.style.setProperty("--ldm-blink-width", `${model.get("width")}px`);
    show(shown);
  };
  claim(el, "ldm-blink");
  el.replaceChildren(empty);
  return endAll(follow(model, ["names", "placeholder", "width"], describe), receive(model, { pair: take }), stop);
}

export default { render };
