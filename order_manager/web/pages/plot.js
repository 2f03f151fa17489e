// Small plots: lines of values over time, as inline SVG.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 200;
const HEIGHT = 32;
const EDGE = 2;

/** `series`: [{name, points: [[time, value], …]}], the first in front. Less than two points is no plot. */
export function draw(svg, series, { label, withZero = false } = {}) {
  const shown = series.filter((one) => one.points.length > 1);
  const signature = JSON.stringify(shown);
  if (svg.signature === signature) return;
  svg.signature = signature;
  svg.replaceChildren();
  svg.setAttribute("aria-label", shown.length ? label : `${label}: nothing to plot yet`);
  if (!shown.length) return;
  const points = shown.flatMap((one) => one.points);
  const times = points.map(([at]) => at);
  const values = points.map(([, value]) => value).concat(withZero ? [0] : []);
  const [begin, end] = [Math.min(...times), Math.max(...times)];
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (low === high) [low, high] = withZero ? [low, low + 1] : [low - 1, high + 1];
  const x = (at) => (((at - begin) / (end - begin || 1)) * WIDTH).toFixed(1);
  const y = (value) => (HEIGHT - EDGE - ((value - low) / (high - low)) * (HEIGHT - 2 * EDGE)).toFixed(1);
  if (withZero && low < 0 && high > 0) svg.append(line("zero", `M0 ${y(0)}H${WIDTH}`));
  for (const one of shown.toReversed()) {
    const path = one.points.map(([at, value], index) => `${index ? "L" : "M"}${x(at)} ${y(value)}`);
    svg.append(line(one.name, path.join("")));
  }
}

export function plot(label) {
  const svg = document.createElementNS(SVG, "svg");
  const attributes = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", class: "plot" };
  for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
  svg.setAttribute("aria-label", label);
  return svg;
}

function line(name, path) {
  const element = document.createElementNS(SVG, "path");
  element.setAttribute("class", `line ${name}`);
  element.setAttribute("d", path);
  element.setAttribute("vector-effect", "non-scaling-stroke");
  return element;
}
