// Two pictures on one place; what lies left of the slider is the first, the rest the second.

function render({ model, el }) {
  const before = element("img", { draggable: "false" });
  const after = element("img", { draggable: "false" });
  const names = { before: element("span", { class: "ldm-compare-name" }), after: element("span", { class: "ldm-compare-name" }) };
  const stage = element("div", { class: "ldm-compare-stage" }, after, before, element("div", { class: "ldm-compare-line" }));
  const slider = element("input", { type: "range", min: 0, max: 100, step: 1, value: 50 });
  slider.addEventListener("input", () => stage.style.setProperty("--ldm-share", `${slider.value}%`));
  const caption = element("div", { class: "ldm-compare-caption" }, names.before, names.after);
  const empty = element("div", { class: "ldm-empty" });

  const describe = () => {
    const [first, second] = [model.get("before_name"), model.get("after_name")];
    names.before.textContent = first;
    names.after.textContent = second;
    before.alt = first;
    after.alt = second;
    empty.textContent = model.get("placeholder");
    slider.setAttribute("aria-label", `Share of the picture that shows: ${first}; the rest shows: ${second}`);
    el.style.setProperty("--ldm-compare-width", `${model.get("width")}px`);
  };
  const show = ({ mime }, [first, second]) => {
    showBytes(before, first, mime);
    showBytes(after, second, mime);
    el.replaceChildren(caption, stage, slider);
  };
  claim(el, "ldm-compare");
  el.replaceChildren(empty);
  return endAll(
    follow(model, ["before_name", "after_name", "placeholder", "width"], describe),
    receive(model, { pair: show }),
  );
}

export default { render };
