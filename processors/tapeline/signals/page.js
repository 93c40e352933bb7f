"use strict";
// Draws the curves of /signals. Their data stand in the page, as data-chart; see page_parts.py.
(() => {
  const HEIGHT = 220;
  const MAX_SEEN = 2000;
  // What was the last point at each look since the page was opened, by curve.
  const seen_live = new Map();
  const drawn = new Map();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const others = ["#d97706", "#0d9488", "#db2777", "#7c3aed", "#65a30d", "#64748b"];

  const number = (value) => value === null || value === undefined ? "–"
    : value.toLocaleString("en-US", { maximumFractionDigits: Math.abs(value) < 1 ? 6 : 2 });
  const moment = (seconds) => seconds === null || seconds === undefined ? "–"
    : new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");

  // ISO dates: 11/12 is two days. What a step is tells how much of a date there has to be.
  const dates = (_, splits, _axis, _space, step) => splits.map((seconds) => {
    const text = new Date(seconds * 1000).toISOString();
    if (step >= 28 * 86400) return text.slice(0, 10);
    if (step >= 86400) return text.slice(5, 10);
    return text.slice(11, step >= 60 ? 16 : 19);
  });
  const size_of = (_, labels) => 24 + 7 * Math.max(0, ...(labels ?? []).map((one) => one.length));
  const span = (plot, least, greatest) => plot.data[0].length > 1 ? [least, greatest]
    : [plot.data[0][0] - 3600, plot.data[0][0] + 3600];

  const options = (data, width) => {
    const ink = getComputedStyle(document.body).color;
    const axis = { stroke: ink, grid: { stroke: "#8883", width: 1 }, ticks: { stroke: "#8886" } };
    const has_labels = Array.isArray(data.labels);
    const label = (place) => data.labels[place] ?? "";
    return {
      title: data.title,
      width,
      height: HEIGHT,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { x: has_labels ? { time: false, range: [-0.3, data.labels.length - 0.7] }
        : { range: span } },
      axes: [
        has_labels ? { ...axis, splits: () => data.x, values: (_, places) => places.map(label) }
          : { ...axis, space: 80, values: dates },
        { ...axis, size: size_of, values: (_, values) => values.map(number) },
      ],
      series: [
        has_labels ? { label: "after", value: (_, place) => place === null ? "–" : label(place) }
          : { label: "UTC", value: (_, seconds) => moment(seconds) },
        ...data.series.map((one, place) => ({
          label: one.label,
          stroke: place === 0 ? colour("--curve") : others[(place - 1) % others.length],
          width: place === 0 ? 2 : 1.25,
          spanGaps: true,
          points: { show: data.is_live ? undefined : true, size: 5 },
          value: (_, value) => number(value),
        })),
      ],
    };
  };

  // The curve of period ends, and between the last of them and now what was seen meanwhile.
  const with_seen = (data) => {
    const values = [data.x, ...data.series.map((one) => one.y)];
    if (!data.is_live || data.x.length === 0) return values;
    const [x, y] = values;
    const end = x.length > 1 ? x[x.length - 2] : -Infinity;
    const now = x[x.length - 1];
    const known = (seen_live.get(data.key) ?? []).filter(([at]) => at > end && at < now);
    known.push([now, y[y.length - 1]]);
    const kept = known.length > MAX_SEEN ? known.filter((_, place) => place % 2 === 0) : known;
    seen_live.set(data.key, kept);
    const ends = x.length - 1;
    return [
      [...x.slice(0, ends), ...kept.map(([at]) => at)],
      [...y.slice(0, ends), ...kept.map(([, value]) => value)],
    ];
  };

  const shape = (data) => JSON.stringify([data.title, data.labels, data.series.map((s) => s.label)]);

  const draw = () => {
    const seen = new Set();
    for (const place of document.querySelectorAll(".chart")) {
      const data = JSON.parse(place.dataset.chart);
      const values = with_seen(data);
      const width = Math.max(place.clientWidth, 120);
      seen.add(data.key);
      let known = drawn.get(data.key);
      if (known && known.shape === shape(data)) {
        // It moves into the new content as it is: the cursor and what was hidden stay.
        place.append(known.plot.root);
        known.plot.setData(values);
        if (known.plot.width !== width) known.plot.setSize({ width, height: HEIGHT });
      } else {
        if (known) known.plot.destroy();
        known = { shape: shape(data), plot: new uPlot(options(data, width), values, place) };
        drawn.set(data.key, known);
      }
    }
    for (const [key, known] of drawn) {
      if (!seen.has(key)) {
        known.plot.destroy();
        drawn.delete(key);
      }
    }
  };

  const anew = () => {
    for (const known of drawn.values()) known.plot.destroy();
    drawn.clear();
    draw();
  };

  document.documentElement.classList.add("js");
  document.addEventListener("tapeline:content", draw);
  dark.addEventListener("change", anew);
  let waiting = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(draw);
  });
  draw();
})();
