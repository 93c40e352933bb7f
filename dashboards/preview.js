"use strict";
// Draws panels from their answers, in Grafana's places: for a look without Grafana. Development only.

const COLOURS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#96d98d",
  "#ffcb7d", "#fa6400"];
const NAMED = {green: "#73bf69", red: "#f2495c", orange: "#ff9830", blue: "#5794f2"};

function scaled(value, steps, last) {
  let unit = last;
  let shown = value;
  for (const [limit, divisor, name] of steps) {
    if (Math.abs(value) < limit) {
      shown = value / divisor;
      unit = name;
      break;
    }
    shown = value / divisor;
    unit = name;
  }
  return `${Number(shown.toPrecision(4))} ${unit}`;
}

const BYTES = [[1e3, 1, "B"], [1e6, 1e3, "kB"], [1e9, 1e6, "MB"], [1e15, 1e9, "GB"]];
const SECONDS = [[1e-3, 1e-6, "µs"], [1, 1e-3, "ms"], [60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"],
  [1e15, 86400, "d"]];

function written(value, unit) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (unit === "s") return scaled(value, SECONDS);
  if (unit === "ms") return scaled(value / 1e3, SECONDS);
  if (unit === "µs") return scaled(value / 1e6, SECONDS);
  if (unit === "bytes" || unit === "decbytes") return scaled(value, BYTES);
  if (unit === "decmbytes") return scaled(value * 1e6, BYTES);
  if (unit === "Bps") return `${scaled(value, BYTES)}/s`;
  if (unit === "percent") return `${Number(value.toFixed(2))} %`;
  if (unit === "percentunit") return `${Number((value * 100).toFixed(2))} %`;
  if (unit === "currencyUSD") return `$${Number(value.toFixed(2)).toLocaleString("en")}`;
  if (unit.startsWith("suffix:")) return `${Number(value.toPrecision(4))}${unit.slice(7)}`;
  const plain = Math.abs(value) >= 1e4
    ? scaled(value, [[1e6, 1e3, "K"], [1e9, 1e6, "M"], [1e15, 1e9, "G"]])
    : String(Number(value.toPrecision(4)));
  return {ops: `${plain}/s`, reqps: `${plain}/s`, pps: `${plain}/s`}[unit] ?? plain;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function coloured(value, thresholds) {
  let colour = null;
  for (const step of thresholds) if (step.value === null || value >= step.value) colour = step.color;
  return NAMED[colour] ?? "#d8d9da";
}

function drawTiles(panel, place) {
  const tiles = element("div", "tiles");
  for (const series of panel.series) {
    const numbers = series.numbers.filter((each) => each !== null);
    const value = numbers[numbers.length - 1];
    const text = panel.texts[String(value)];
    const tile = element("div", "tile");
    const colour = text ? NAMED[text.color] : coloured(value, panel.thresholds);
    tile.append(element("span", "big", text ? text.text : written(value, panel.unit)));
    if (panel.series.length > 1) tile.append(element("span", "name", series.name));
    if (panel.background) tile.style.background = colour;
    else tile.style.color = colour;
    tiles.append(tile);
  }
  place.append(tiles);
}

function drawLines(panel, place, width, height) {
  const times = [...new Set(panel.series.flatMap((series) => series.times))].sort((a, b) => a - b);
  const at = new Map(times.map((time, index) => [time, index]));
  const columns = panel.series.map((series) => {
    const column = new Array(times.length).fill(null);
    series.times.forEach((time, index) => { column[at.get(time)] = series.numbers[index]; });
    return column;
  });
  if (panel.stacked) {
    for (let index = 1; index < columns.length; index += 1) {
      columns[index] = columns[index].map((value, row) =>
        value === null && columns[index - 1][row] === null ? null : (value ?? 0) + (columns[index - 1][row] ?? 0));
    }
  }
  const rows = Math.min(panel.series.length, 4);
  const paths = panel.bars ? uPlot.paths.bars({size: [0.9, 40]}) : undefined;
  const axis = {stroke: "#9fa3a8", grid: {stroke: "#2c3235", width: 1}, ticks: {show: false}, font: "11px sans-serif"};
  const plot = {
    width, height: Math.max(60, height - 12 - 8 * rows), legend: {show: false}, cursor: {show: false},
    scales: {y: {distr: panel.logarithmic ? 3 : 1}},
    axes: [axis, {...axis, size: 70, values: (_, ticks) => ticks.map((tick) => tick === null ? "" : written(tick, panel.unit))}],
    series: [{}, ...panel.series.map((_, index) => ({
      stroke: COLOURS[index % COLOURS.length], width: 1.3, paths, points: {show: false}, spanGaps: false,
      fill: panel.stacked || panel.bars ? `${COLOURS[index % COLOURS.length]}66` : undefined,
    }))],
  };
  const body = element("div");
  place.append(body);
  const values = panel.logarithmic ? columns.map((column) => column.map((v) => (v > 0 ? v : null))) : columns;
  new uPlot(plot, [times, ...values], body);
  const legend = element("div", "legend");
  panel.series.forEach((series, index) => {
    const numbers = series.numbers.filter((each) => each !== null);
    const name = element("span", "key", `${series.name}  ${written(numbers[numbers.length - 1], panel.unit)}`);
    name.style.borderLeftColor = COLOURS[index % COLOURS.length];
    legend.append(name);
  });
  place.append(legend);
}

function drawHeat(panel, place, width, height) {
  const cumulative = panel.series.every((series) => series.labels.le !== undefined);
  const bound = (series) => {
    if (!cumulative) return 0;
    return series.labels.le === "+Inf" ? Infinity : Number(series.labels.le);
  };
  const label = (series) => {
    if (!cumulative) return series.name;
    return Number.isFinite(bound(series)) ? written(bound(series), panel.unit) : "+Inf";
  };
  const buckets = [...panel.series].sort((a, b) => bound(a) - bound(b));
  const times = [...new Set(buckets.flatMap((series) => series.times))].sort((a, b) => a - b);
  const counts = buckets.map((series) => {
    const known = new Map(series.times.map((time, index) => [time, series.numbers[index]]));
    return times.map((time) => known.get(time) ?? 0);
  });
  const own = counts.map((row, index) => row.map((value, column) =>
    Math.max(0, value - (cumulative && index ? counts[index - 1][column] : 0))));
  const greatest = Math.max(1e-9, ...own.flat());
  const canvas = element("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const left = cumulative ? 70 : 110;
  const cell = [(width - left) / times.length, (height - 4) / buckets.length];
  own.forEach((row, index) => {
    const top = height - 4 - (index + 1) * cell[1];
    context.fillStyle = "#9fa3a8";
    context.fillText(label(buckets[index]), 2, top + cell[1] / 2 + 3);
    row.forEach((value, column) => {
      if (value <= 0) return;
      context.fillStyle = `rgba(255,${Math.round(190 - 150 * (value / greatest))},60,${0.25 + 0.75 * (value / greatest)})`;
      context.fillRect(left + column * cell[0], top, Math.max(1, cell[0] - 0.5), cell[1] - 1);
    });
  });
  place.append(canvas);
}

function drawTable(panel, place) {
  const table = element("table");
  const head = element("tr");
  panel.columns.forEach((name) => head.append(element("th", "", name)));
  table.append(head);
  panel.rows.slice(0, 14).forEach((row) => {
    const line = element("tr");
    row.forEach((value) => line.append(element("td", "",
      typeof value === "number" ? panel.texts[String(value)]?.text ?? written(value, panel.unit) : value ?? "")));
    table.append(line);
  });
  place.append(table);
}

function drawShares(panel, place) {
  const values = panel.series.map((series) => series.numbers[series.numbers.length - 1] ?? 0);
  const sum = values.reduce((a, b) => a + b, 0) || 1;
  panel.series.forEach((series, index) => {
    const line = element("div", "share", `${series.name}: ${written(values[index], panel.unit)} (${(100 * values[index] / sum).toFixed(1)} %)`);
    line.style.background = `linear-gradient(90deg, ${COLOURS[index % COLOURS.length]}88 ${100 * values[index] / sum}%, transparent 0)`;
    place.append(line);
  });
}

function drawTexts(panel, place) {
  panel.lines.slice(0, 14).forEach((text) => place.append(element("div", "line", text)));
}

const DRAWN = {stat: drawTiles, gauge: drawTiles, timeseries: drawLines, barchart: drawLines, heatmap: drawHeat,
  table: drawTable, piechart: drawShares, logs: drawTexts, traces: drawTexts};

for (const panel of JSON.parse(document.getElementById("panels").textContent)) {
  const box = element("section", panel.kind === "row" ? "row" : "panel");
  const {x, y, w, h} = panel.place;
  Object.assign(box.style, {left: `${x * 66}px`, top: `${40 + y * 34}px`, width: `${w * 66 - 8}px`, height: `${h * 34 - 8}px`});
  box.append(element("h2", "", panel.title));
  document.body.append(box);
  if (panel.kind === "row") continue;
  const body = element("div", "body");
  box.append(body);
  if (panel.trouble) body.append(element("div", "trouble", panel.trouble));
  else DRAWN[panel.kind](panel, body, w * 66 - 26, h * 34 - 44);
}
document.body.dataset.drawn = "yes";
