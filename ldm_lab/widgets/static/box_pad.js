// Named boxes drawn on an empty picture. They are shares of its sides, and go to the kernel whenever a hand rests.

const CORNERS = { nw: [0, 1], ne: [2, 1], se: [2, 3], sw: [0, 3] }; // which sides of [left, top, right, bottom] move
const LEAST = 0.03; // shorter than that is a click
const STEP = 1 / 64; // by keys
const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]; // Okabe & Ito 2008

const inside = (share) => Math.min(1, Math.max(0, share));
const rounded = (share) => Math.round(1000 * share) / 1000;

/** The box between two places. */
function between([x0, y0], [x1, y1]) {
  return [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)].map(inside);
}

/** A box elsewhere, as far as the picture goes. */
function moved([left, top, right, bottom], dx, dy) {
  const x = Math.min(1 - right, Math.max(-left, dx));
  const y = Math.min(1 - bottom, Math.max(-top, dy));
  return [left + x, top + y, right + x, bottom + y];
}

const isLarge = ([left, top, right, bottom]) => right - left >= LEAST && bottom - top >= LEAST;

/** The colour of an object: the one it is called by, or one of its own. */
function colorOf({ names }, number) {
  return names.find((name) => CSS.supports("color", name)) ?? COLORS[number % COLORS.length];
}

/** What a vocabulary is called: the words say it for colours, the order for classes. */
function titleOf(words, number) {
  if (words.every((word) => CSS.supports("color", word))) return "Colour";
  return number === 0 ? "Class" : `Word ${number + 1}`;
}

/** A list of words to choose from for each vocabulary. */
function wordChoices(vocabularies, change) {
  const lists = vocabularies.map((words, number) => {
    const options = words.map((word) => element("option", { value: word }, word));
    return element("select", { "aria-label": titleOf(words, number), onchange: change }, ...options);
  });
  const labels = lists.map((list) => element("label", {}, list.getAttribute("aria-label"), list));
  return {
    labels,
    read: () => lists.map((list) => list.value),
    show: (names) => lists.forEach((list, number) => (list.value = names[number])),
  };
}

/** How an object is drawn. */
function boxNode({ names, box: [left, top, right, bottom] }, { number, isChosen }) {
  const corners = isChosen ? Object.keys(CORNERS).map((corner) => element("i", { "data-corner": corner })) : [];
  const node = element("div", { class: "ldm-box", "data-number": number }, element("span", {}, names.join(" ")), ...corners);
  const place = { left, top, width: right - left, height: bottom - top };
  for (const [side, share] of Object.entries(place)) node.style[side] = `${100 * share}%`;
  node.style.setProperty("--ldm-box-color", colorOf({ names }, number));
  node.toggleAttribute("data-chosen", isChosen);
  return node;
}

/** The objects and which of them is chosen; tell() hands them to the kernel. */
function layoutOf(model, draw) {
  const layout = { objects: [], chosen: -1 };
  const tell = () => {
    const spelled = layout.objects.map(({ names, box }) => ({ names, box: box.map(rounded) }));
    model.set("boxes", spelled);
    model.save_changes();
    draw();
  };
  const take = () => {
    layout.objects = model.get("boxes").map(({ names, box }) => ({ names: [...names], box: [...box] }));
    layout.chosen = Math.min(layout.chosen, layout.objects.length - 1);
    draw();
  };
  const choose = (number) => {
    layout.chosen = number;
    draw();
  };
  return Object.assign(layout, { tell, take, choose, isFull: () => layout.objects.length >= model.get("max_objects") });
}

/** Let the pointer draw, move and stretch boxes. */
function drawOn(stage, layout, { names, draw, complain }) {
  let [start, before, corner] = [null, null, null];
  const current = () => layout.objects[layout.chosen];
  const begin = (event) => {
    stage.focus({ preventScroll: true });
    start = placeOn(stage, event).map(inside);
    corner = event.target.dataset.corner ?? null;
    const number = event.target.closest(".ldm-box")?.dataset.number;
    if (number === undefined && layout.isFull()) return complain(), false;
    if (number === undefined) layout.objects.push({ names: names(), box: between(start, start), isNew: true });
    layout.choose(number === undefined ? layout.objects.length - 1 : Number(number));
    before = current().box;
    return true;
  };
  const change = (place) => {
    if (current().isNew) return between(start, place);
    if (!corner) return moved(before, place[0] - start[0], place[1] - start[1]);
    const box = [...before];
    CORNERS[corner].forEach((side, axis) => (box[side] = inside(place[axis])));
    return between(box.slice(0, 2), box.slice(2));
  };
  dragOn(stage, {
    begin,
    move: (event) => {
      current().box = change(placeOn(stage, event));
      draw();
    },
    end: () => {
      const { isNew, box } = current();
      delete current().isNew;
      if (isLarge(box)) return layout.tell();
      if (!isNew) return (current().box = before), draw();
      layout.objects.pop();
      layout.choose(-1);
    },
  });
}

/** What keys and buttons do with the chosen box. */
function boxTools(layout, { names, complain }) {
  const change = (make) => () => {
    const object = layout.objects[layout.chosen];
    if (!object) return;
    make(object);
    layout.tell();
  };
  const add = (names, box) => {
    if (layout.isFull()) return complain();
    layout.objects.push({ names: [...names], box });
    layout.chosen = layout.objects.length - 1;
    layout.tell();
  };
  const move = (dx, dy) => change((object) => (object.box = moved(object.box, dx * STEP, dy * STEP)));
  const stretch = (dx, dy) =>
    change((object) => {
      const [left, top, right, bottom] = object.box;
      const box = [left, top, inside(right + dx * STEP), inside(bottom + dy * STEP)];
      if (isLarge(box)) object.box = box;
    });
  const remove = change(() => layout.objects.splice(layout.chosen, 1));
  const next = () => layout.choose(layout.objects.length ? (layout.chosen + 1) % layout.objects.length : -1);
  const insert = () => add(names(), [0.3, 0.3, 0.7, 0.7]);
  const duplicate = () => {
    const object = layout.objects[layout.chosen];
    if (object) add(object.names, moved(object.box, 4 * STEP, 4 * STEP));
  };
  const clear = () => {
    layout.objects = [];
    layout.tell();
  };
  return {
    nodes: [
      group(tool("Add", "A box in the middle (Enter)", insert), tool("Duplicate", "The chosen box once more (D)", duplicate)),
      group(tool("Delete", "Without the chosen box (Delete)", remove), tool("Clear", "Without any box", clear)),
    ],
    keys: {
      arrowleft: move(-1, 0),
      arrowright: move(1, 0),
      arrowup: move(0, -1),
      arrowdown: move(0, 1),
      "Shift+ArrowLeft": stretch(-1, 0),
      "Shift+ArrowRight": stretch(1, 0),
      "Shift+ArrowUp": stretch(0, -1),
      "Shift+ArrowDown": stretch(0, 1),
      enter: insert,
      d: duplicate,
      n: next,
      delete: remove,
      backspace: remove,
    },
  };
}

/** The objects in words, each a button that chooses it. */
function listOf(layout) {
  return layout.objects.map(({ names, box }, number) => {
    const text = `${number + 1}: ${names.join(" ")}, ${box.map((share) => share.toFixed(2)).join(" ")}`;
    const button = tool(text, "Left, top, right, bottom as shares of the picture", () => layout.choose(number));
    button.setAttribute("aria-pressed", number === layout.chosen);
    return button;
  });
}

function render({ model, el }) {
  const picture = element("img", { class: "ldm-box-picture", alt: "", draggable: "false", hidden: "" });
  const boxes = element("div", { class: "ldm-boxes" });
  const hint = element("span", {});
  const words = wordChoices(model.get("vocabularies"), () => {
    const object = layout.objects[layout.chosen];
    if (!object) return;
    object.names = words.read();
    layout.tell();
  });
  const draw = () => {
    const { objects, chosen } = layout;
    boxes.replaceChildren(...objects.map((object, number) => boxNode(object, { number, isChosen: number === chosen })));
    if (objects[chosen]) words.show(objects[chosen].names);
    hint.textContent = objects.length ? "" : "Drag over the picture to draw a box.";
    legend.replaceChildren(...listOf(layout), hint);
  };
  const complain = () => (hint.textContent = `This model reads at most ${model.get("max_objects")} objects.`);
  const layout = layoutOf(model, draw);
  const tools = boxTools(layout, { names: words.read, complain });
  const shown = element("input", { type: "checkbox", checked: "" });
  shown.addEventListener("change", () => (picture.style.visibility = shown.checked ? "" : "hidden"));
  const { stage, legend } = padFrame(el, {
    layers: [picture, boxes],
    tools: [...words.labels, ...tools.nodes, element("label", {}, shown, "Image below")],
  });
  drawOn(stage, layout, { names: words.read, draw, complain });
  onKeys(stage, tools.keys);

  const showPicture = ({ mime }, [bytes]) => {
    picture.hidden = false;
    showBytes(picture, bytes, mime);
  };
  return endAll(
    follow(model, ["width", "label", "aspect"], () => {
      el.style.setProperty("--ldm-pad-width", `${model.get("width")}px`);
      stage.style.aspectRatio = model.get("aspect");
      stage.setAttribute("aria-label", model.get("label"));
    }),
    follow(model, ["boxes"], layout.take),
    receive(model, { picture: showPicture }),
  );
}

export default { render };
