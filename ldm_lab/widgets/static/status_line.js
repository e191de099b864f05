// One sentence on how things are, with a symbol beside its colour, progress, and details to unfold.

const SYMBOLS = { idle: "", busy: "◌", done: "✓", warning: "⚠", error: "✕" };

/** The panel's keys are its own too, so that arrows move its sliders and no cells. */
function claimPanel(panel) {
  if (!panel) return;
  claim(panel, "ldm-panel");
  panel.setAttribute("role", "region");
  panel.setAttribute("aria-label", panel.querySelector(".ldm-title")?.textContent ?? "");
}

function render({ model, el }) {
  const symbol = element("span", { class: "ldm-status-symbol", "aria-hidden": "true" });
  const sentence = element("span", { role: "status", "aria-live": "polite" });
  const progress = element("progress", { "aria-label": "Progress" });
  const details = element("details", {}, element("summary", {}, "details"), element("pre"));
  claim(el, "ldm-status");
  el.append(symbol, progress, sentence, details);

  const update = () => {
    const kind = model.get("kind");
    el.dataset.kind = kind;
    symbol.textContent = SYMBOLS[kind];
    sentence.textContent = model.get("text");
    progress.hidden = kind !== "busy" || model.get("expected") === 0;
    progress.max = Math.max(1, model.get("expected"));
    progress.value = model.get("done");
    details.hidden = model.get("details") === "";
    details.querySelector("pre").textContent = model.get("details");
  };
  requestAnimationFrame(() => claimPanel(el.closest(".ldm-panel")));
  return follow(model, ["kind", "text", "details", "done", "expected"], update);
}

export default { render };
