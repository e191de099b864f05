// What the pads share: tools above a picture that is drawn on, and how pointers become places on it.

const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];

/** A pad's frame: tools, a window onto the stage, a line below. The stage takes keys. */
function padFrame(el, { tools, layers }) {
  const stage = element("div", { class: "ldm-pad-stage", tabindex: 0, role: "application" }, ...layers);
  const view = element("div", { class: "ldm-pad-window" }, stage);
  const legend = element("div", { class: "ldm-pad-legend" });
  claim(el, "ldm-pad");
  el.append(element("div", { class: "ldm-pad-tools", role: "toolbar", "aria-label": "Tools" }, ...tools), view, legend);
  return { stage, view, legend };
}

/** An element of SVG. */
function vector(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Where a pointer is, as shares of an element's sides. */
function placeOn(node, event) {
  const { left, top, width, height } = node.getBoundingClientRect();
  return [(event.clientX - left) / width, (event.clientY - top) / height];
}

/** Follow a pointer from where it is pressed to where it is let go; begin says whether it is wanted. */
function dragOn(node, { begin, move, end }) {
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !begin(event)) return;
    node.setPointerCapture(event.pointerId);
    const hear = (later) => later.pointerId === event.pointerId && move(later);
    const finish = (later) => {
      if (later.pointerId !== event.pointerId) return;
      node.removeEventListener("pointermove", hear);
      node.removeEventListener("pointerup", finish);
      node.removeEventListener("pointercancel", finish);
      end(later);
    };
    node.addEventListener("pointermove", hear);
    node.addEventListener("pointerup", finish);
    node.addEventListener("pointercancel", finish);
  });
}

/** A button with a word on it, and what it does as its hint. */
function tool(text, hint, onclick) {
  return element("button", { class: "ldm-button", type: "button", title: hint, onclick }, text);
}

/** Things that stand close together. */
function group(...children) {
  return element("span", { class: "ldm-pad-group" }, ...children);
}

/** Buttons of which one is chosen; `set(name)` chooses from elsewhere. */
function choice(label, options, choose) {
  const buttons = Object.entries(options).map(([name, [text, hint]]) => [name, tool(text, hint, () => set(name))]);
  const set = (chosen) => {
    for (const [name, button] of buttons) button.setAttribute("aria-checked", name === chosen);
    choose(chosen);
  };
  for (const [, button] of buttons) button.setAttribute("role", "radio");
  const node = group(...buttons.map(([, button]) => button));
  node.setAttribute("role", "radiogroup");
  node.setAttribute("aria-label", label);
  return { node, set };
}

/** A button that lets a person choose a picture file, and hands its bytes over. */
function fileButton(text, hint, take) {
  const input = element("input", { type: "file", accept: "image/*", hidden: "", "aria-label": text });
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (file) take(new Uint8Array(await file.arrayBuffer()));
    input.value = "";
  });
  return element("span", {}, input, tool(text, hint, () => input.click()));
}

/** Zoom into the stage, within its window, around the middle of what is seen. */
function zoomTools() {
  let [stage, view, place] = [null, null, 0];
  const text = element("output", { class: "ldm-pad-zoom" });
  const zoomTo = (wanted) => {
    const before = ZOOMS[place];
    place = Math.min(ZOOMS.length - 1, Math.max(0, wanted));
    const factor = ZOOMS[place] / before;
    const [x, y] = [view.scrollLeft + view.clientWidth / 2, view.scrollTop + view.clientHeight / 2];
    view.style.maxHeight = place ? `${view.clientHeight}px` : "";
    stage.style.width = `${100 * ZOOMS[place]}%`;
    view.scrollTo(factor * x - view.clientWidth / 2, factor * y - view.clientHeight / 2);
    text.textContent = `${100 * ZOOMS[place]} %`;
  };
  const [closer, farther] = [() => zoomTo(place + 1), () => zoomTo(place - 1)];
  const attach = (...nodes) => {
    [stage, view] = nodes;
    zoomTo(0);
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      zoomTo(place + (event.deltaY < 0 ? 1 : -1));
    });
  };
  return {
    attach,
    node: group(tool("−", "Zoom out (-)", farther), text, tool("+", "Zoom in (+)", closer)),
    keys: { "+": closer, "=": closer, "-": farther, 0: () => zoomTo(0) },
  };
}

/** Bytes of the kernel, one number each. */
function bytesOf(buffer) {
  return new Uint8ClampedArray(buffer.buffer ?? buffer, buffer.byteOffset ?? 0, buffer.byteLength);
}

/** Carry out what a key stands for; keys without a meaning go on to whoever wants them. */
function onKeys(node, meanings) {
  node.addEventListener("keydown", (event) => {
    const modifiers = `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.shiftKey ? "Shift+" : ""}`;
    const meaning = meanings[modifiers + event.key] ?? meanings[event.key.toLowerCase()];
    if (!meaning || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    meaning(event);
  });
}
