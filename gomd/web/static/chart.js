// A line over time, drawn on a canvas, with its newest value as text.

import { h } from "./dom.js";

const KEPT = 300;
const WIDTH = 360, HEIGHT = 110;

/** Return a chart: `element`, `add(value)` for live values, `show(points)` for [time, value] pairs. */
export function lineChart(title, format) {
  const canvas = h("canvas", { width: WIDTH * 2, height: HEIGHT * 2, class: "chart", role: "img" });
  const caption = h("figcaption", {}, title);
  const element = h("figure", {}, canvas, caption);
  let points = [];

  function draw() {
    const known = points.filter(([, value]) => value !== null && value !== undefined);
    const ink = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    ink.setTransform(2, 0, 0, 2, 0, 0);
    ink.clearRect(0, 0, WIDTH, HEIGHT);
    const last = known[known.length - 1];
    const most = Math.max(1e-9, ...known.map(([, value]) => value));
    const text = known.length ? `${title}: ${format(last[1])}, at most ${format(most)}` : `${title}: not known`;
    caption.textContent = text;
    canvas.setAttribute("aria-label", text);
    if (known.length < 2) return;
    const begin = points[0][0], span = Math.max(1e-9, points[points.length - 1][0] - begin);
    ink.strokeStyle = style.color;
    ink.lineWidth = 1.5;
    ink.beginPath();
    let drawn = false;
    for (const [time, value] of points) {
      if (value === null || value === undefined) { drawn = false; continue; }
      const x = 4 + ((time - begin) / span) * (WIDTH - 8), y = HEIGHT - 6 - (value / most) * (HEIGHT - 12);
      if (drawn) ink.lineTo(x, y); else ink.moveTo(x, y);
      drawn = true;
    }
    ink.stroke();
  }

  return {
    element,
    add(value) {
      points.push([Date.now() / 1000, value]);
      if (points.length > KEPT) points.shift();
      draw();
    },
    show(found) {
      points = found;
      draw();
    },
  };
}
