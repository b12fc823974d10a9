const { default: DataTable } = await window.tables;
const night = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 720px)").matches;
const HUES = ["#4c8fd6", "#e0762f", "#2f9e5b", "#d64550", "#9a6fd0", "#a5754f", "#d466ac", "#8a8f98", "#a9a51f", "#22a7b5"];

// A figure is drawn when it comes into view, in the colours of the page.
function draw(place) {
  const { data, layout } = JSON.parse(place.dataset.figure);
  const style = getComputedStyle(document.documentElement);
  const [ink, line] = ["--ink", "--line"].map((name) => style.getPropertyValue(name));
  for (const trace of data) if ("hue" in trace) {
    trace.line.color = HUES[trace.hue];
    delete trace.hue;
  }
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true };
  const own = {
    paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: ink }, margin: { t: 20, r: 10, l: 50, b: 40 },
    hoverlabel: { namelength: -1 }, showlegend: data[0].type === "scatter" && data.length > 1,
    legend: place.clientWidth < 600 ? { orientation: "h", y: -0.25 } : {},
    ...(place.clientWidth < 600 && data.length > 8 ? { height: 640 } : {}),
  };
  const titled = ({ title, ...rest } = {}) => ({ ...axis, ...rest, ...(title ? { title: { text: title } } : {}) });
  Plotly.react(place, data, { ...own, ...layout, xaxis: titled(layout.xaxis), yaxis: titled(layout.yaxis) },
    { responsive: true, displaylogo: false, displayModeBar: narrow ? false : "hover" });
  place.classList.add("drawn");
}
const seen = new IntersectionObserver((found) => found.filter((one) => one.isIntersecting).forEach((one) => {
  seen.unobserve(one.target);
  draw(one.target);
}), { rootMargin: "200px" });
const watch = (root) => root.querySelectorAll(".figure").forEach((place) => seen.observe(place));

function light() {
  document.documentElement.classList.toggle("dark", night.matches);
  document.querySelectorAll(".figure.drawn").forEach(draw);
}
night.addEventListener("change", light);
light();
watch(document);

// What a row opens to lies in a template of its own.
function fill(place, id) {
  place.replaceChildren(...(id ? [document.getElementById(id).content.cloneNode(true)] : []));
  watch(place);
}
const dialog = document.getElementById("run");
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-open]");
  if (!button) return;
  dialog.showModal();
  fill(dialog.querySelector("div"), button.dataset.open);
  dialog.scrollTop = 0;
});
for (const select of document.querySelectorAll("[data-side]"))
  select.addEventListener("change", () => fill(select.closest("div").querySelector(".side"), select.value));

// One set of filters for all tables of methods.
const form = document.getElementById("filters"), text = document.getElementById("search");
const filters = [...form.querySelectorAll("select")];
const common = { autoWidth: false, order: [], pageLength: 25, lengthMenu: [10, 25, 100, { label: "all", value: -1 }] };
const columns = { buttons: [{ extend: "colvis", text: "columns", background: false }] };
const boards = [...document.querySelectorAll("table.runs")].map((table) => {
  const api = new DataTable(table, {
    ...common, layout: { topStart: columns, topEnd: "pageLength", bottomStart: "info", bottomEnd: "paging" },
    columnDefs: [{ targets: narrow ? ["more", "minor"] : "more", visible: false }],
  });
  api.search.fixed("page", (given, data, index) => {
    const facts = api.row(index).node().dataset;
    return filters.every((one) => !one.value || facts[one.name].split(", ").includes(one.value));
  });
  return api;
});
function choose() {
  let shown = 0, all = 0;
  for (const api of boards) {
    api.search(text.value).draw();
    const count = api.rows({ search: "applied" }).count();
    api.table().node().closest(".board").hidden = count === 0;
    shown += count;
    all += api.rows().count();
  }
  document.getElementById("count").textContent = `${shown} of ${all} rows`;
}
form.addEventListener("input", choose);
form.addEventListener("reset", () => setTimeout(choose));
form.addEventListener("submit", (event) => event.preventDefault());
choose();
for (const table of document.querySelectorAll("table.claims"))
  new DataTable(table, {
    ...common, pageLength: 10, columnDefs: [{ targets: narrow ? [0, 2] : [], visible: false }],
    layout: { topStart: columns, topEnd: "search", bottomStart: "info", bottomEnd: "paging" },
  });
document.documentElement.dataset.ready = "";
