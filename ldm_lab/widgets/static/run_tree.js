// Runs and those that left them, as a list that is indented: a picture, what it is, what was changed.

function render({ model, el }) {
  const list = element("div", { role: "tree", class: "ldm-tree-list" });
  let items = [];
  const choose = (number) => {
    model.set("chosen", number);
    model.save_changes();
  };
  const mark = () => {
    const chosen = model.get("chosen");
    items.forEach((item, number) => {
      item.setAttribute("aria-selected", number === chosen);
      item.tabIndex = number === chosen ? 0 : -1;
    });
  };
  const walk = (event) => {
    const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!way) return;
    event.preventDefault();
    items[items.indexOf(event.target) + way]?.focus();
  };
  const makeItem = ({ title, changed, depth, mark: sign }, bytes, number) => {
    const image = element("img", { alt: "", draggable: "false" });
    showBytes(image, bytes, "image/png");
    const words = element("span", { class: "ldm-tree-words" }, element("b", {}, title, sign ? ` ${sign}` : ""), changed);
    const item = element("button", { type: "button", role: "treeitem", class: "ldm-tree-item", "aria-level": depth + 1, onclick: () => choose(number) }, image, words);
    item.style.setProperty("--ldm-depth", depth);
    return item;
  };
  const show = ({ nodes }, buffers) => {
    items = nodes.map((node, number) => makeItem(node, buffers[number], number));
    list.replaceChildren(...items);
    mark();
  };
  list.addEventListener("keydown", walk);
  claim(el, "ldm-tree");
  el.append(list);
  return endAll(
    follow(model, ["label"], () => list.setAttribute("aria-label", model.get("label"))),
    follow(model, ["chosen"], mark),
    receive(model, { runs: show }),
  );
}

export default { render };
