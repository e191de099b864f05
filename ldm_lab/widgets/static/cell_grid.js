// A grid of pictures that come one by one; a cell is chosen by a click or by the keyboard.

const SIGNS = { waiting: "·", busy: "◌", done: "", found: "", error: "✕", stopped: "–" };
const MOVES = { ArrowLeft: -1, ArrowRight: 1 };

function render({ model, el }) {
  const tabs = element("div", { class: "ldm-cells-pages", role: "radiogroup", "aria-label": "Page" });
  const stage = element("div", { class: "ldm-cells-stage" });
  const empty = element("div", { class: "ldm-empty" });
  let [layout, cells, page] = [null, [], 0];

  const choose = (number) => {
    model.set("chosen", number);
    model.save_changes();
    mark();
  };
  const mark = () => cells.forEach(({ button }, number) => button.setAttribute("aria-pressed", number === model.get("chosen")));
  const press = (event, number) => {
    const step = MOVES[event.key] ?? { ArrowUp: -layout.columns.length, ArrowDown: layout.columns.length }[event.key];
    const target = cells[number + step]?.button;
    if (!step || !target?.isConnected) return;
    event.preventDefault();
    target.focus();
  };
  const makeCell = (name, number) => {
    const image = element("img", { alt: "", draggable: "false" });
    const said = element("span", { class: "ldm-cell-said" });
    const button = element("button", { class: "ldm-cell", type: "button", "aria-label": name, onclick: () => choose(number) }, said);
    button.addEventListener("keydown", (event) => press(event, number));
    return { name, image, said, button };
  };
  const row = (label, start) => {
    const head = layout.rows.length ? [element("th", { scope: "row" }, label)] : [];
    const own = cells.slice(start, start + layout.columns.length).map(({ button }) => element("td", {}, button));
    return element("tr", {}, ...head, ...own);
  };
  const turn = (to) => {
    page = to;
    const labels = layout.rows.length ? layout.rows : [""];
    const first = page * labels.length * layout.columns.length;
    const head = [...(layout.rows.length ? [element("td")] : []), ...layout.columns.map((label) => element("th", { scope: "col" }, label))];
    const rows = labels.map((label, i) => row(label, first + i * layout.columns.length));
    stage.replaceChildren(element("table", {}, element("tr", {}, ...head), ...rows));
    [...tabs.children].forEach((tab, i) => tab.setAttribute("aria-checked", i === page));
  };
  const build = (content) => {
    layout = content;
    cells = layout.names.map(makeCell);
    const tab = (label, i) => element("button", { class: "ldm-button", type: "button", role: "radio", onclick: () => turn(i) }, label);
    tabs.replaceChildren(...layout.pages.map(tab));
    el.replaceChildren(tabs, stage);
    turn(0);
    mark();
  };
  const fill = ({ number, state, words, mime }, buffers) => {
    const cell = cells[number];
    if (!cell) return;
    const { button, image, said } = cell;
    button.dataset.state = state;
    said.textContent = [SIGNS[state], words].filter(Boolean).join(" ");
    button.setAttribute("aria-label", [cell.name, words || state].join(": "));
    if (buffers.length) showBytes(image, buffers[0], mime);
    button.replaceChildren(...(buffers.length ? [image] : []), ...(said.textContent ? [said] : []));
  };
  const describe = () => {
    empty.textContent = model.get("placeholder");
    el.setAttribute("role", "group");
    el.setAttribute("aria-label", model.get("label"));
    el.style.setProperty("--ldm-cell-width", `${model.get("width")}px`);
  };
  claim(el, "ldm-cells");
  el.replaceChildren(empty);
  return endAll(
    follow(model, ["placeholder", "label", "width"], describe),
    follow(model, ["chosen"], mark),
    receive(model, { grid: build, cell: fill }),
  );
}

export default { render };
