// A mask painted over a picture: one byte a pixel, 255 is made anew. It goes to the kernel whenever a stroke ends; what
// comes back is what the model makes of it.

/** The tools of the brush; `brush` is what they change. */
function brushTools(brush, showSize) {
  const kinds = { brush: ["Brush", "Paint what is made anew (B)"], eraser: ["Eraser", "Keep it after all (E)"] };
  const kind = choice("What the pointer does", kinds, (name) => (brush.erases = name === "eraser"));
  const size = element("input", { type: "range", min: 1, max: 64, step: 1, "aria-label": "Size of the brush in pixels" });
  const sizeText = element("output", { class: "ldm-mask-size" });
  const soft = element("input", { type: "checkbox" });
  const resize = (pixels) => {
    size.value = pixels;
    brush.radius = Number(size.value) / 2;
    sizeText.textContent = `${size.value} px`;
    showSize();
  };
  const softHint = "It fades towards its edge; from half on a pixel is made anew (S)";
  size.addEventListener("input", () => resize(size.value));
  soft.addEventListener("change", () => (brush.soft = soft.checked));
  kind.set("brush");
  return {
    nodes: [
      kind.node,
      element("label", { title: "Diameter ([ and ])" }, "Size", size, sizeText),
      element("label", { title: softHint }, soft, "Soft"),
    ],
    /** Limits for a picture, and a size to begin with. */
    suit: (side) => {
      size.max = Math.max(8, Math.round(side / 2));
      resize(Math.max(1, Math.round(side / 8)));
    },
    keys: {
      b: () => kind.set("brush"),
      e: () => kind.set("eraser"),
      s: () => (brush.soft = soft.checked = !soft.checked),
      "[": () => resize(Number(size.value) - 1),
      "]": () => resize(Number(size.value) + 1),
    },
  };
}

/** What changes the whole mask; tell() says that it changed. */
function maskTools(mask, tell) {
  const change = (make) => {
    mask.remember();
    make();
    tell();
  };
  const step = (back) => mask.step(back) && tell();
  const invert = () => change(() => mask.values.forEach((value, place) => (mask.values[place] = 255 - value)));
  const clear = () => change(() => mask.values.fill(0));
  const [undo, redo] = [() => step(true), () => step(false)];
  return {
    change,
    nodes: [
      group(tool("Undo", "Take back (Ctrl+Z)", undo), tool("Redo", "Once more (Ctrl+Shift+Z)", redo)),
      group(
        tool("Invert", "Keep what was made anew, and the other way round (I)", invert),
        tool("Clear", "An empty mask (Delete)", clear),
      ),
    ],
    keys: { i: invert, delete: clear, backspace: clear, "Ctrl+z": undo, "Ctrl+Shift+Z": redo, "Ctrl+y": redo },
  };
}

/** Let the pointer paint on the stage, and the arrow keys with the space bar. */
function paintOn(stage, { mask, brush, layers, draw, tell, change }) {
  let [last, spot] = [null, [0, 0]];
  const sides = () => [mask.width, mask.height];
  const placeOf = (event) => placeOn(stage, event).map((share, axis) => share * sides()[axis]);
  const reach = (place) => {
    stroke(mask, last ?? place, place, brush);
    last = place;
    draw();
  };
  const moveTo = (place) => {
    spot = place.map((at, axis) => Math.min(sides()[axis] - 0.5, Math.max(0.5, at)));
    layers.point(spot, brush.radius);
  };
  const walk = (dx, dy) => (event) => {
    const far = event.shiftKey ? 1 : Math.max(1, brush.radius);
    moveTo([spot[0] + dx * far, spot[1] + dy * far]);
  };
  dragOn(stage, {
    begin: (event) => {
      if (!mask.width) return false;
      stage.focus({ preventScroll: true });
      mask.remember();
      last = null;
      reach(placeOf(event));
      return true;
    },
    move: (event) => reach(placeOf(event)),
    end: tell,
  });
  stage.addEventListener("pointermove", (event) => layers.point(placeOf(event), brush.radius));
  stage.addEventListener("pointerleave", () => layers.point(spot, 0));
  return {
    moveTo,
    keys: {
      arrowleft: walk(-1, 0),
      arrowright: walk(1, 0),
      arrowup: walk(0, -1),
      arrowdown: walk(0, 1),
      " ": () => change(() => stroke(mask, spot, spot, brush)),
    },
  };
}

/** What the marks on the picture mean. */
function legendOf({ box: [left, top, right, bottom], num_cells, num_all }, mask) {
  const [width, height] = [right - left, bottom - top];
  const entry = (name, text) => element("span", {}, element("i", { class: `ldm-mask-key ldm-mask-key-${name}` }), text);
  const isPart = width < mask.width || height < mask.height;
  return [
    entry("painted", "mask"),
    entry("cells", `cells made anew: ${num_cells} of ${num_all}`),
    ...(isPart ? [entry("part", `part looked at: ${width} × ${height} px`)] : []),
  ];
}

function render({ model, el }) {
  const own = String(Math.random());
  const mask = new Painting();
  const layers = layersOf(mask);
  const brush = { radius: 4, soft: false, erases: false };
  let frame = null;
  const draw = () => {
    frame ??= requestAnimationFrame(() => {
      frame = null;
      drawMask(layers.painted, mask);
    });
  };
  const tell = () => {
    draw();
    const { width, height, values } = mask;
    model.send({ topic: "mask", view: own, width, height }, undefined, [values.slice()]);
  };
  const upload = (bytes) => model.send({ topic: "file" }, undefined, [bytes]);
  const brushing = brushTools(brush, () => layers.resizePoint(brush.radius));
  const whole = maskTools(mask, tell);
  const zoom = zoomTools();
  const file = fileButton("Open mask", "A file of the picture's size: white is made anew", upload);
  const { stage, view, legend } = padFrame(el, {
    layers: [layers.picture, layers.painted, layers.marks],
    tools: [...brushing.nodes, ...whole.nodes, zoom.node, file],
  });
  zoom.attach(stage, view);
  const painting = paintOn(stage, { mask, brush, layers, draw, tell, change: whole.change });
  onKeys(stage, { ...brushing.keys, ...whole.keys, ...zoom.keys, ...painting.keys });

  const showPicture = async ({ width, height }, [bytes]) => {
    layers.resize(width, height);
    brushing.suit(Math.max(width, height));
    painting.moveTo([width / 2, height / 2]);
    const bitmap = await decodeBytes(bytes, "image/png");
    layers.picture.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
  };
  const showMask = ({ width, height, view }, [bytes]) => {
    if (view === own) return; // painted here, and perhaps more by now
    layers.resize(width, height);
    mask.remember();
    mask.values = bytesOf(bytes).slice();
    draw();
  };
  const showSeen = (seen, [cells]) => {
    layers.showSeen(bytesOf(cells), seen.box);
    legend.replaceChildren(...legendOf(seen, mask));
  };
  return endAll(
    follow(model, ["width", "label"], () => {
      el.style.setProperty("--ldm-pad-width", `${model.get("width")}px`);
      stage.setAttribute("aria-label", model.get("label"));
    }),
    receive(model, { picture: showPicture, mask: showMask, seen: showSeen }),
    () => cancelAnimationFrame(frame),
  );
}

export default { render };
