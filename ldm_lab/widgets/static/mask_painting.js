// A mask as it is painted, and how it is drawn over a picture.

const MAX_UNDO = 50;

/** Lay one round dab onto a mask of bytes. A soft one fades towards its edge. */
function dab(mask, x, y, { radius, soft, erases }) {
  const [left, right] = [Math.max(0, Math.floor(x - radius)), Math.min(mask.width - 1, Math.floor(x + radius))];
  const [top, bottom] = [Math.max(0, Math.floor(y - radius)), Math.min(mask.height - 1, Math.floor(y + radius))];
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const distance = Math.hypot(column + 0.5 - x, row + 0.5 - y) / radius;
      const isHere = column === Math.floor(x) && row === Math.floor(y); // the thinnest brush paints a pixel too
      const cover = distance > 1 ? 0 : soft ? (1 - distance ** 2) ** 2 : 1;
      const level = Math.round(255 * (isHere ? 1 : cover));
      const place = row * mask.width + column;
      mask.values[place] = erases ? Math.min(mask.values[place], 255 - level) : Math.max(mask.values[place], level);
    }
  }
}

/** Dabs from place to place, so close that they make a line. */
function stroke(mask, [x0, y0], [x1, y1], brush) {
  const count = Math.max(1, Math.ceil(Math.hypot(x1 - x0, y1 - y0) / Math.max(0.5, brush.radius / 4)));
  for (let i = 0; i <= count; i++) dab(mask, x0 + ((x1 - x0) * i) / count, y0 + ((y1 - y0) * i) / count, brush);
}

/** Show a mask as stripes of light and dark, which are seen on every colour. */
function drawMask(canvas, { width, height, values }) {
  const image = new ImageData(width, height);
  const stripe = Math.max(1, Math.round(Math.max(width, height) / 32));
  for (let place = 0; place < values.length; place++) {
    const isLight = Math.floor(((place % width) + Math.floor(place / width)) / stripe) % 2;
    image.data.fill(isLight ? 255 : 30, 4 * place, 4 * place + 3);
    image.data[4 * place + 3] = 0.7 * values[place];
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** The outline of all pixels that are not 0, as a path of SVG. */
function outline(values, { left, top, width, height }) {
  const at = (x, y) => x >= 0 && y >= 0 && x < width && y < height && values[y * width + x] > 0;
  const parts = [];
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      if (at(x, y) !== at(x - 1, y)) parts.push(`M${left + x} ${top + y}v1`);
      if (at(x, y) !== at(x, y - 1)) parts.push(`M${left + x} ${top + y}h1`);
    }
  }
  return parts.join("");
}

/** All that was painted, step by step, and what is painted now. */
class Painting {
  constructor() {
    [this.width, this.height, this.values] = [0, 0, new Uint8ClampedArray()];
    this.forget();
  }
  forget() {
    [this.before, this.after] = [[], []];
  }
  /** Call it before a change. */
  remember() {
    this.before = [...this.before.slice(1 - MAX_UNDO), this.values.slice()];
    this.after = [];
  }
  /** Go back, or forth again; whether there was anything. */
  step(back) {
    const [from, to] = back ? [this.before, this.after] : [this.after, this.before];
    if (!from.length) return false;
    to.push(this.values);
    this.values = from.pop();
    return true;
  }
}

/** The layers of the stage and how they are drawn. */
function layersOf(mask) {
  const picture = element("canvas", { class: "ldm-mask-picture" });
  const painted = element("canvas", { class: "ldm-mask-painted" });
  const shade = vector("path", { class: "ldm-mask-shade", "fill-rule": "evenodd" });
  const lines = ["halo", "part", "halo", "cells"].map((name) => vector("path", { class: `ldm-mask-${name}` }));
  const cursor = vector("circle", { class: "ldm-mask-cursor", r: 0 });
  const marks = vector("svg", { preserveAspectRatio: "none", "aria-hidden": "true" }, shade, ...lines, cursor);
  const resize = (width, height) => {
    if (width === mask.width && height === mask.height) return;
    for (const canvas of [picture, painted]) [canvas.width, canvas.height] = [width, height];
    marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
    [mask.width, mask.height, mask.values] = [width, height, new Uint8ClampedArray(width * height)];
    mask.forget();
  };
  const showSeen = (cells, [left, top, right, bottom]) => {
    const [width, height] = [right - left, bottom - top];
    const frame = `M${left} ${top}h${width}v${height}h${-width}z`;
    const isPart = width < mask.width || height < mask.height;
    shade.setAttribute("d", isPart ? `M0 0h${mask.width}v${mask.height}h${-mask.width}z${frame}` : "");
    lines.slice(0, 2).forEach((line) => line.setAttribute("d", isPart ? frame : ""));
    lines.slice(2).forEach((line) => line.setAttribute("d", outline(cells, { left, top, width, height })));
  };
  const resizePoint = (radius) => cursor.setAttribute("r", radius);
  const point = ([x, y], radius) => {
    cursor.setAttribute("cx", x);
    cursor.setAttribute("cy", y);
    resizePoint(radius);
  };
  return { picture, painted, marks, resize, showSeen, point, resizePoint };
}
