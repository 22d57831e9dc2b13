// A line over time, drawn on a canvas: the mean as a line, smallest to largest as a band, times and values at the
// edges. The value at the mouse, or at the cursor that the arrow keys move, stands below as text.

import { h, setText } from "./dom.js";
import { moment } from "./format.js";

const KEPT = 300;
const WIDTH = 420, HEIGHT = 140, LEFT = 52, RIGHT = 8, TOP = 8, BOTTOM = 20;

/**
 * Return a chart: `element`, `add(value)` for live values, `show(points)` for [time, mean, min, max].
 *
 * `zoom(from, until)`, in seconds since the epoch, is called with a span that was chosen with the mouse.
 */
export function lineChart(title, format, zoom = null) {
  const canvas = h("canvas", { width: WIDTH * 2, height: HEIGHT * 2, class: "chart", role: "img" });
  const caption = h("figcaption", {}, title);
  const element = h("figure", { tabindex: "0", "aria-label": title }, canvas, caption);
  let points = [];
  let cursor = null; // the index of the point that is read out
  let pressed = null; // where the mouse went down, in seconds

  const begin = () => points[0]?.[0] ?? 0;
  const span = () => Math.max(1e-9, (points[points.length - 1]?.[0] ?? 0) - begin());
  const xOf = (time) => LEFT + ((time - begin()) / span()) * (WIDTH - LEFT - RIGHT);
  const known = (point) => point[1] !== null && point[1] !== undefined;

  function timeAt(event) {
    const box = canvas.getBoundingClientRect();
    const x = (event.clientX - box.left) * (WIDTH / box.width);
    return begin() + Math.min(1, Math.max(0, (x - LEFT) / (WIDTH - LEFT - RIGHT))) * span();
  }

  /** Return how long a pause between two points is a gap: nothing is known about it. */
  function gap() {
    const pauses = points.slice(1).map(([time], at) => time - points[at][0]).sort((a, b) => a - b);
    return 3 * (pauses[pauses.length >> 1] ?? Infinity);
  }

  function draw() {
    const shown = points.filter(known);
    const ink = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    ink.setTransform(2, 0, 0, 2, 0, 0);
    ink.clearRect(0, 0, WIDTH, HEIGHT);
    const most = Math.max(1e-9, ...shown.map((point) => point[3] ?? point[1]));
    const least = Math.min(...shown.map((point) => point[2] ?? point[1]));
    const newest = shown[shown.length - 1];
    const summary = newest ? `${title}: ${format(newest[1])}, ${format(least)} to ${format(most)}` : `${title}: not known`;
    const read = cursor === null ? null : points[cursor];
    setText(caption, read && known(read) ? `${title} at ${moment(read[0])}: ${format(read[1])}` +
      (read[3] === undefined || read[3] === read[2] ? "" : `, ${format(read[2])} to ${format(read[3])}`) : summary);
    canvas.setAttribute("aria-label", summary);
    if (!shown.length) return;
    const yOf = (value) => HEIGHT - BOTTOM - (Math.max(0, value) / most) * (HEIGHT - TOP - BOTTOM);
    axes(ink, style, most, yOf);
    const runs = [[]]; // without the gaps
    const pause = gap();
    points.forEach((point, at) => {
      if (!known(point) || (at && point[0] - points[at - 1][0] > pause)) runs.push([]);
      if (known(point)) runs[runs.length - 1].push(point);
    });
    ink.fillStyle = ink.strokeStyle = style.color;
    for (const run of runs.filter((each) => each.length)) {
      ink.globalAlpha = 0.25;
      ink.beginPath();
      for (const point of run) ink.lineTo(xOf(point[0]), yOf(point[3] ?? point[1]));
      for (const point of [...run].reverse()) ink.lineTo(xOf(point[0]), yOf(point[2] ?? point[1]));
      ink.fill();
      ink.globalAlpha = 1;
      ink.lineWidth = 1.5;
      ink.beginPath();
      for (const point of run) ink.lineTo(xOf(point[0]), yOf(point[1]));
      if (run.length === 1) ink.rect(xOf(run[0][0]) - 1, yOf(run[0][1]) - 1, 2, 2);
      ink.stroke();
    }
    if (read) ink.fillRect(xOf(read[0]), TOP, 1, HEIGHT - TOP - BOTTOM);
  }

  function axes(ink, style, most, yOf) {
    ink.fillStyle = style.outlineColor;
    ink.strokeStyle = style.borderTopColor;
    ink.font = "11px system-ui, sans-serif";
    ink.textBaseline = "middle";
    ink.textAlign = "right";
    ink.lineWidth = 1;
    for (const share of [0, 0.5, 1]) {
      const y = yOf(share * most);
      ink.beginPath();
      ink.moveTo(LEFT, y);
      ink.lineTo(WIDTH - RIGHT, y);
      ink.stroke();
      ink.fillText(format(share * most), LEFT - 4, y);
    }
    const length = span();
    const text = (time) => { // as much of the moment as tells two of them apart
      const whole = moment(time);
      return length > 2 * 86400 ? whole.slice(0, 10) : length > 7200 ? whole.slice(5, 16) : whole.slice(11);
    };
    [[0, "left"], [0.5, "center"], [1, "right"]].forEach(([share, align]) => {
      ink.textAlign = align;
      ink.fillText(text(begin() + share * length), LEFT + share * (WIDTH - LEFT - RIGHT), HEIGHT - 8);
    });
  }

  function point(at) {
    cursor = at === null || !points.length ? null : Math.min(points.length - 1, Math.max(0, at));
    draw();
  }

  canvas.addEventListener("pointermove", (event) => {
    const time = timeAt(event);
    let at = points.findIndex((each) => each[0] >= time);
    if (at > 0 && time - points[at - 1][0] < points[at][0] - time) at -= 1;
    point(at < 0 ? points.length - 1 : at);
  });
  canvas.addEventListener("pointerleave", () => { pressed = null; point(null); });
  canvas.addEventListener("pointerdown", (event) => { pressed = timeAt(event); });
  canvas.addEventListener("pointerup", (event) => {
    const [from, until] = [pressed, timeAt(event)].sort((a, b) => a - b);
    if (zoom && pressed !== null && until - from > span() / 50) zoom(from, until);
    pressed = null;
  });
  element.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    caption.setAttribute("aria-live", "polite");
    point((cursor ?? points.length) + step);
  });
  element.addEventListener("blur", () => {
    caption.removeAttribute("aria-live");
    point(null);
  });

  return {
    element,
    draw,
    add(value) {
      points.push([Date.now() / 1000, value]);
      if (points.length > KEPT) points.shift();
      draw();
    },
    show(found) {
      points = found;
      cursor = pressed = null;
      draw();
    },
  };
}

/** Return the points of a count that only grows as its rate a second; it begins anew after a boot. */
export function ratesOf(points) {
  const rates = [];
  for (let at = 1; at < points.length; at += 1) {
    const [before, now] = [points[at - 1], points[at]];
    const grown = now[1] - before[1], time = now[0] - before[0];
    rates.push([now[0], grown >= 0 && time > 0 ? grown / time : null]);
  }
  return rates;
}
