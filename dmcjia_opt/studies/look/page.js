"use strict";
(() => {
  const charts = new Map();

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const themed = (layout) => {
    const ink = colour("--ink"), soft = colour("--soft"), line = colour("--line");
    const own = structuredClone(layout);
    own.template = {};
    own.autosize = true;
    own.showlegend = false;
    own.paper_bgcolor = own.plot_bgcolor = "rgba(0,0,0,0)";
    own.font = { ...own.font, color: ink, size: 13, family: "system-ui, sans-serif" };
    own.hoverlabel = { bgcolor: colour("--panel"), bordercolor: line, font: { color: ink }, namelength: -1 };
    own.margin = { l: 12, r: 14, t: 14, b: 12, ...own.margin };
    for (const name of Object.keys(own).filter((key) => /^[xy]axis\d*$/.test(key))) {
      own[name] = { automargin: true, gridcolor: line, linecolor: soft, zerolinecolor: line, tickcolor: soft, ...own[name] };
    }
    for (const note of own.annotations ?? []) note.font = { color: soft, ...note.font };
    return own;
  };

  const draw = (plot) => {
    if (charts.has(plot) || plot.clientWidth === 0) return;
    const spec = JSON.parse(plot.nextElementSibling.textContent);
    charts.set(plot, spec);
    Plotly.newPlot(plot, spec.data, themed(spec.layout), { responsive: true, displaylogo: false, displayModeBar: false });
  };

  const repaint = () => charts.forEach((spec, plot) => Plotly.relayout(plot, themed(spec.layout)));

  const toggle = (button) => {
    const plot = button.closest("figure").querySelector(".plot");
    const hide = button.getAttribute("aria-pressed") !== "true";
    const which = plot.data.flatMap((trace, n) => (trace.legendgroup === button.dataset.key ? [n] : []));
    button.setAttribute("aria-pressed", String(hide));
    if (which.length) Plotly.restyle(plot, { visible: !hide }, which);
  };

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const number = cell.dataset.sort;
    return number === undefined ? cell.textContent : number === "inf" ? Infinity : Number(number);
  };

  const compare = (a, b) => {
    if (typeof a === "string" || typeof b === "string") return String(a).localeCompare(String(b), "en", { numeric: true });
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return a === b ? 0 : a < b ? -1 : 1;
  };

  const sort = (button) => {
    const head = button.closest("th");
    const column = head.cellIndex;
    const body = head.closest("table").tBodies[0];
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const rows = [...body.rows].sort((a, b) => compare(valueOf(a, column), valueOf(b, column)));
    body.append(...(descending ? rows.reverse() : rows));
  };

  const choose = (select) => {
    [...select.closest(".choice").querySelectorAll(":scope > div")].forEach((panel, n) => {
      panel.hidden = n !== select.selectedIndex;
      if (!panel.hidden) panel.querySelectorAll(".plot").forEach(draw);
    });
  };

  const cue = (box) => {
    box.classList.toggle("wide", box.scrollWidth > box.clientWidth + 1);
    box.classList.toggle("deep", box.scrollHeight > box.clientHeight + 1);
  };

  const watch = new ResizeObserver((boxes) => boxes.forEach((entry) => cue(entry.target)));
  document.querySelectorAll(".scroll").forEach((box) => watch.observe(box));
  document.querySelectorAll("th button").forEach((b) => b.addEventListener("click", () => sort(b)));
  document.querySelectorAll(".legend button").forEach((b) => b.addEventListener("click", () => toggle(b)));
  document.querySelectorAll(".choice select").forEach((s) => s.addEventListener("change", () => choose(s)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  addEventListener("beforeprint", repaint);
  addEventListener("afterprint", repaint);
  document.querySelectorAll(".choice select").forEach(choose);
  document.querySelectorAll(".plot").forEach(draw);
})();
