// What every view shares; it stands before the view's own code in one module.

/** An element with attributes and children; attributes that begin with "on" are listeners. */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Make an element ours: its style, and its keys. JupyterLab takes arrows for its own, unless the element that has the
 *  focus says that it shall not. */
function claim(el, name) {
  el.classList.add(name);
  el.addEventListener("focusin", ({ target }) => target.setAttribute("data-lm-suppress-shortcuts", "true"));
}

const hearing = new WeakSet();

/** Let a view hear of everything, also of what was said before it was drawn. anywidget gives up on a model whose script
 *  has not come within two seconds, as on a busy machine, and passes no message on to it any more. A view that is drawn
 *  has its script; so messages go to the model past that gate, and the kernel is asked to say again what it has. */
async function hear(model) {
  if (hearing.has(model)) return;
  hearing.add(model);
  const own = await model.widget_manager.get_model(model.get("own_id")).catch(() => null);
  const behindTheGate = own && Object.getPrototypeOf(Object.getPrototypeOf(own))._handle_comm_msg;
  own?.comm?.on_msg((message) => behindTheGate.call(own, message));
  model.send({ topic: "ready" });
}

/** Call handlers[topic](content, buffers) for what the kernel delivers beside the synced state; returns how to end it. */
function receive(model, handlers) {
  const listener = (content, buffers) => handlers[content.topic]?.(content, buffers ?? []);
  model.on("msg:custom", listener);
  hear(model);
  return () => model.off("msg:custom", listener);
}

/** Call a function now and whenever one of the traits changes; returns how to end it. */
function follow(model, traits, update) {
  hear(model);
  const events = traits.map((name) => `change:${name}`).join(" ");
  model.on(events, update);
  update();
  return () => model.off(events, update);
}

/** Show bytes in an <img>; what was shown before is freed. */
function showBytes(image, bytes, mime) {
  const url = URL.createObjectURL(new Blob([bytes], { type: mime }));
  image.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
  image.src = url;
}

/** Bytes as a picture that a canvas can draw. */
function decodeBytes(bytes, mime) {
  return createImageBitmap(new Blob([bytes], { type: mime }));
}

/** What a render function returns: ends everything that was begun. */
function endAll(...ends) {
  return () => ends.forEach((end) => end());
}
