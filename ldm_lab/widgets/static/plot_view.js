// A plot: small enough to be state, so that it stays in the notebook.

function render({ model, el }) {
  const image = element("img", { class: "ldm-plot", draggable: "false" });
  claim(el, "ldm-plot-view");
  el.append(image);

  const describe = () => {
    image.alt = model.get("label");
    el.style.setProperty("--ldm-plot-width", `${model.get("width")}px`);
  };
  const show = () => {
    const value = model.get("value");
    image.hidden = !value?.byteLength;
    if (!image.hidden) showBytes(image, value, "image/png");
  };
  return endAll(follow(model, ["label", "width"], describe), follow(model, ["value"], show));
}

export default { render };
