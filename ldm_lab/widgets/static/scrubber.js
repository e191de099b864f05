// Frames to scrub through without the kernel. The place is told to it when it is let go, if it wants to know.

function render({ model, el }) {
  const scrubber = makeScrubber(model);
  const empty = element("div", { class: "ldm-empty" });
  const show = async (content, buffers) => {
    await scrubber.load(content, buffers);
    el.replaceChildren(scrubber.frame, scrubber.bar);
  };
  const describe = () => {
    empty.textContent = model.get("placeholder");
    el.style.setProperty("--ldm-frame-width", `${model.get("width")}px`);
    scrubber.describe();
  };
  claim(el, "ldm-scrub");
  el.replaceChildren(empty);
  return endAll(
    follow(model, ["label", "labels", "placeholder", "width"], describe),
    follow(model, ["index"], () => scrubber.move(model.get("index"))),
    receive(model, { sheets: show }),
    scrubber.stop,
  );
}

export default { render };
