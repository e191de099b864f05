// A picture that changes often: frames are delivered, only the final one is state.

function render({ model, el }) {
  const image = element("img", { class: "ldm-frame", draggable: "false" });
  const empty = element("div", { class: "ldm-empty" });
  claim(el, "ldm-frame-view");

  const show = (bytes, mime) => {
    showBytes(image, bytes, mime);
    el.replaceChildren(image);
  };
  const showStill = () => {
    const still = model.get("still");
    if (still?.byteLength) show(still, "image/png");
    else el.replaceChildren(empty);
  };
  const describe = () => {
    image.alt = model.get("alt");
    empty.textContent = model.get("placeholder");
    el.style.setProperty("--ldm-frame-width", `${model.get("width")}px`);
  };
  return endAll(
    follow(model, ["alt", "placeholder", "width"], describe),
    follow(model, ["still"], showStill),
    receive(model, { frame: ({ mime }, [bytes]) => show(bytes, mime) }),
  );
}

export default { render };
