"use strict";
// Pages: links of the navigation show one page at a time. Without this script all pages follow each other.
const root = document.documentElement;
const pages = [...document.querySelectorAll(".page")];
const links = [...document.querySelectorAll("nav a")];
const pageOf = (link) => document.querySelector(link.hash).closest(".page");

function showPage() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const page = (target && target.closest(".page")) || pages[0];
  pages.forEach((other) => other.classList.toggle("hidden", other !== page));
  links.forEach((link) => (pageOf(link) === page ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current")));
  if (target) target.scrollIntoView();
  else scrollTo(0, 0);
}
addEventListener("hashchange", showPage);
showPage();

// Charts: each has its data as JSON inside. Colours such as "var(--text)" are those of the page at that moment.
const charts = new Map([...document.querySelectorAll(".chart")].map((place) => {
  const spec = JSON.parse(place.firstElementChild.textContent);
  place.firstElementChild.remove();
  return [place, spec];
}));
const drawn = new Set();
const NARROW = 560;
const OPTIONS = { displayModeBar: false, responsive: true, doubleClick: false };

function coloured(value) {
  if (typeof value === "string") {
    return value.replace(/var\((--\w+)\)/g, (_, name) => getComputedStyle(root).getPropertyValue(name).trim());
  }
  if (Array.isArray(value)) return value.map(coloured);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, coloured(inner)]));
}

function draw(place) {
  const { data, layout } = coloured(charts.get(place));
  if (place.clientWidth < NARROW) layout.annotations = (layout.annotations || []).filter(({ name }) => name !== "wide");
  drawn.add(place);
  return Plotly.react(place, data, layout, OPTIONS);
}

async function loadPlotly() {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(unpacked).text();
  document.head.append(script);
}

function drawWhatIsSeen() {
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) {
        seen.unobserve(target);
        if (!drawn.has(target)) draw(target);
      }
    }
  }, { rootMargin: "400px" });
  charts.forEach((_, place) => seen.observe(place));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach(draw));
  addEventListener("beforeprint", () => {
    root.classList.add("printing");
    charts.forEach((_, place) => draw(place).then(Plotly.Plots.resize));
  });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    drawn.forEach((place) => draw(place).then(Plotly.Plots.resize));
  });
}

if (charts.size) {
  loadPlotly().then(drawWhatIsSeen, (error) => {
    charts.forEach((_, place) => (place.textContent = `This browser cannot draw the chart (${error}). ${place.ariaLabel}`));
  });
}

// Tables: a click on a column's head sorts, the box above filters the rows.
const FEWEST_ROWS_TO_FILTER = 6;
const words = new Intl.Collator("en", { numeric: true });

function compare(first, second) {
  const [a, b] = [first, second].map((text) => parseFloat(text.replace(/,/g, "").replace(/^[<≤] ?/, "")));
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(b) - Number.isNaN(a) || words.compare(first, second);
  return a - b || words.compare(first, second);
}

function sortBy(table, head, column) {
  const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((a, b) => {
    const [first, second] = [a, b].map((row) => row.cells[column].textContent.trim());
    const missing = (text) => text === "" || text === "–";
    if (missing(first) || missing(second)) return missing(first) - missing(second);
    return direction * compare(first, second);
  });
  body.append(...rows);
  table.querySelectorAll("[aria-sort]").forEach((other) => other.setAttribute("aria-sort", "none"));
  head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
}

function filterBox(table) {
  const box = document.createElement("input");
  box.type = "search";
  box.className = "filter";
  box.placeholder = `Filter ${table.tBodies[0].rows.length} rows`;
  box.setAttribute("aria-label", `Filter the rows of: ${table.closest(".box").ariaLabel}`);
  box.addEventListener("input", () => {
    const wanted = box.value.toLowerCase().split(/\s+/);
    for (const row of table.tBodies[0].rows) {
      row.hidden = !wanted.every((word) => row.textContent.toLowerCase().includes(word));
    }
  });
  return box;
}

for (const table of document.querySelectorAll(".box table")) {
  [...table.tHead.rows].at(-1).querySelectorAll("th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sortBy(table, head, column));
  });
  if (table.tBodies[0].rows.length >= FEWEST_ROWS_TO_FILTER) table.closest(".box").before(filterBox(table));
}
