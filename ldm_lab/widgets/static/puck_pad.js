// A puck on a plane between anchors. While it is held, the kernel hears its place and that it is held.

const STEP = 0.02; // of the plane, for arrow keys
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

function render({ model, el }) {
  const plane = element("div", { class: "ldm-puck-plane" });
  const puck = element("div", { class: "ldm-puck", role: "slider", tabindex: 0, "aria-valuemin": 0, "aria-valuemax": 100 });
  const tell = (place, held) => {
    model.set({ place: model.get("flat") ? [place[0], 0] : place, held });
    model.save_changes();
  };
  const within = (value) => Math.min(Math.max(Number(value.toFixed(4)), 0), 1);
  const placeOf = ({ clientX, clientY }) => {
    const { left, top, width, height } = plane.getBoundingClientRect();
    return [within((clientX - left) / width), within((clientY - top) / height)];
  };
  const grab = (event) => {
    event.preventDefault();
    puck.focus();
    plane.setPointerCapture(event.pointerId);
    tell(placeOf(event), true);
    const follow = (moved) => tell(placeOf(moved), true);
    const letGo = (last) => {
      plane.removeEventListener("pointermove", follow);
      plane.removeEventListener("pointercancel", letGo);
      tell(placeOf(last), false);
    };
    plane.addEventListener("pointermove", follow);
    plane.addEventListener("pointerup", letGo, { once: true });
    plane.addEventListener("pointercancel", letGo, { once: true });
  };
  const press = (event) => {
    const step = ARROWS[event.key];
    if (!step) return;
    event.preventDefault();
    tell(model.get("place").map((value, axis) => within(value + step[axis])), true);
  };
  const release = ({ key }) => key in ARROWS && tell(model.get("place"), false);
  plane.addEventListener("pointerdown", grab);
  puck.addEventListener("keydown", press);
  puck.addEventListener("keyup", release);

  const draw = () => {
    const [x, y] = model.get("place");
    const flat = model.get("flat");
    puck.style.left = `${100 * x}%`;
    puck.style.top = flat ? "50%" : `${100 * y}%`;
    const words = `${Math.round(100 * x)} % across${flat ? "" : `, ${Math.round(100 * y)} % down`}`;
    puck.setAttribute("aria-valuenow", Math.round(100 * x));
    puck.setAttribute("aria-valuetext", words);
    puck.setAttribute("aria-label", model.get("label"));
    plane.classList.toggle("ldm-puck-flat", flat);
  };
  const nameAnchors = () => {
    const corners = ["left top", "right top", "left bottom", "right bottom"];
    const names = model.get("anchors");
    const places = names.length === 3 ? [corners[0], corners[1], "middle bottom"] : corners;
    const anchors = names.map((name, i) => element("span", { class: `ldm-puck-anchor ${places[i]}` }, name));
    plane.replaceChildren(...anchors, puck);
  };
  claim(el, "ldm-puck-pad");
  el.append(plane);
  return endAll(follow(model, ["anchors"], nameAnchors), follow(model, ["place", "flat", "label"], draw));
}

export default { render };
