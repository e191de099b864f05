// Files that are dropped here or chosen; their bytes go to the kernel as messages, so that no notebook file holds them.

function render({ model, el }) {
  const input = element("input", { type: "file", multiple: "", class: "ldm-drop-input" });
  const text = element("span");
  const zone = element("label", { class: "ldm-drop" }, input, text);

  const send = async (files) => {
    for (const file of files) {
      const bytes = await file.arrayBuffer();
      model.send({ topic: "file", name: file.name }, undefined, [bytes]);
    }
    input.value = "";
  };
  const mark = (isOver) => (event) => {
    event.preventDefault();
    zone.classList.toggle("ldm-drop-over", isOver);
  };
  zone.addEventListener("dragover", mark(true));
  zone.addEventListener("dragleave", mark(false));
  zone.addEventListener("drop", (event) => {
    mark(false)(event);
    send(event.dataTransfer.files);
  });
  input.addEventListener("change", () => send(input.files));
  const describe = () => {
    text.textContent = model.get("label");
    input.accept = model.get("accept");
    input.setAttribute("aria-label", model.get("label"));
  };
  claim(el, "ldm-drop-zone");
  el.replaceChildren(zone);
  return endAll(follow(model, ["label", "accept"], describe));
}

export default { render };
