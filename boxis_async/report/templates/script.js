"use strict";
{
  // The page is whole without this. It only counts again what `data-numbers` has, for one direction, line or day.
  const form = document.getElementById("filter");
  const { cube, weeks, hours } = JSON.parse(form.dataset.numbers);
  const [CALLS, ANSWERED, MISSED, VOICEMAIL, MACHINE, MISSED_IN_BOX, TALK, COST] = Array(8).keys();
  const HEIGHT = 230;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const number = (value, digits = 0) =>
    value.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d))/g, form.dataset.separator);
  const two = (value) => String(value).padStart(2, "0");
  const parts = (seconds) => [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const clock = (seconds) => {
    const [h, m, s] = parts(seconds);
    return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
  };
  const length = (seconds) => {
    const [h, m, s] = parts(seconds);
    if (h >= 100) return `${number(Math.floor((seconds + 1800) / 3600))} h`;
    if (h) return `${number(h)} h${m ? ` ${m} min` : ""}`;
    return m ? `${m} min${s ? ` ${s} s` : ""}` : `${s} s`;
  };
  const total = (rows) => rows.reduce((sums, row) => sums.map((sum, at) => sum + row[3 + at]), Array(8).fill(0));
  const shown = (sums) => [...[CALLS, ANSWERED, MISSED, VOICEMAIL, MACHINE].map((at) => number(sums[at])),
    clock(sums[TALK]), number(sums[COST], 2)];

  // What stands there without a filter comes back as it was.
  const texts = all("[data-total], .note, [data-by] td").map((one) => [one, one.textContent]);
  const charts = all("#days, #costs-chart").map((chart) => ({
    chart, grid: chart.querySelector("g"), lines: chart.querySelector("g").innerHTML,
    bars: all(".bar", chart).map((bar) => all("rect:not(.unknown)", bar).map((rect) =>
      ({ rect, y: rect.getAttribute("y"), height: rect.getAttribute("height") }))),
    titles: all(".bar title", chart).map((title) => ({ title, text: title.textContent })),
  }));
  const cells = all("#heat .cell").map((cell) => {
    const text = cell.nextElementSibling;
    const title = cell.firstElementChild;
    return { cell, text, title, name: title.textContent, before: [cell.getAttribute("class"), text.getAttribute("class"), text.textContent] };
  });

  function axis(most) {
    if (!(most > 0)) return [0, 1];
    const power = 10 ** Math.floor(Math.log10(most / 4));
    const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one * 4 >= most);
    return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, at) => at * step);
  }

  function draw(grid, ticks) {
    const svg = (name, attributes, text = "") => {
      const one = document.createElementNS(grid.namespaceURI, name);
      Object.entries(attributes).forEach(([key, value]) => one.setAttribute(key, value));
      one.textContent = text;
      return one;
    };
    grid.replaceChildren(...ticks.flatMap((tick) => {
      const y = HEIGHT * (1 - tick / ticks.at(-1));
      return [svg("line", { x1: 0, x2: "100%", y1: y, y2: y, class: tick ? "grid" : "axis" }),
        svg("text", { x: -8, y: y + 4, "text-anchor": "end" }, String(Number(tick.toPrecision(4))))];
    }));
  }

  const chosen = (name) => (form.elements[name].value === "" ? null : Number(form.elements[name].value));

  function show() {
    const [period, direction, line] = ["period", "direction", "line"].map(chosen);
    const narrowed = direction !== null || line !== null;
    const filtered = narrowed || period !== null;
    // Only calls that came in have a line.
    const fits = (d, l) => (direction === null || d === direction) && (line === null || (d === 0 && l === line));
    const fitting = cube.filter(([, d, l]) => fits(d, l));
    const rows = fitting.filter(([p]) => period === null || p === period);
    const of = (at) => fitting.filter(([p]) => p === at);
    const sums = total(rows);

    texts.forEach(([one, text]) => { one.textContent = text; });
    all(".then, [data-all-only]").forEach((one) => { one.hidden = filtered; });
    all(".unfiltered").forEach((one) => { one.hidden = !filtered; });
    form.querySelector("[role=status]").textContent = filtered
      ? form.dataset.shown.replace("{calls}", number(sums[CALLS])).replace("{all}", number(Number(form.dataset.all)))
      : "";
    if (filtered) {
      const large = { calls: number(sums[CALLS]), answered: number(sums[ANSWERED]), missed: number(sums[MISSED]),
        voicemail: number(sums[VOICEMAIL]), talk: length(sums[TALK]), cost: number(sums[COST], 2) };
      all("[data-total]").forEach((one) => { one.textContent = large[one.dataset.total]; });
      all(".note").forEach((one) => { one.textContent = ""; });
      all("[data-by] [data-key]").forEach((row) => {
        const [by, key] = [row.closest("table").dataset.by, Number(row.dataset.key)];
        const written = shown(total(by === "direction" ? rows.filter(([, d]) => d === key) : of(key)));
        const known = [...row.cells].slice(1);
        if (known.length > 1 && !known[1].textContent) return;
        const star = known[0].textContent.endsWith("*") ? "*" : "";
        known.forEach((cell, at) => {
          cell.textContent = by === "cost" ? written.at(-1) : written[at] + (at ? "" : star);
        });
      });
    }

    charts.forEach(({ chart, grid, lines, bars, titles }) => {
      const heights = bars.map((_, at) => {
        const sums = total(of(at));
        const own = sums[CALLS] - sums[ANSWERED] - sums[MISSED];
        return chart.id === "days"
          ? [sums[ANSWERED], sums[MISSED_IN_BOX], sums[MISSED] - sums[MISSED_IN_BOX], own] : [sums[COST]];
      });
      const ticks = axis(Math.max(...heights.map((some) => some.reduce((one, other) => one + other, 0))));
      titles.forEach(({ title, text }, at) => {
        const count = heights[at].reduce((one, other) => one + other, 0);
        title.textContent = narrowed ? text.replace(/: .*/, `: ${number(count, chart.id === "days" ? 0 : 2)}`) : text;
      });
      if (narrowed) draw(grid, ticks);
      else grid.innerHTML = lines;
      bars.forEach((rects, at) => {
        let level = 0;
        rects.forEach(({ rect, y, height }, part) => {
          const tall = (HEIGHT * heights[at][part]) / ticks.at(-1);
          level += tall;
          rect.setAttribute("y", narrowed ? HEIGHT - level : y);
          rect.setAttribute("height", narrowed ? tall : height);
          rect.parentElement.classList.toggle("off", period !== null && at !== period);
        });
      });
    });

    const some = weeks.filter(([d, l]) => fits(d, l));
    const means = hours.map((often, at) =>
      (often < 0.5 ? null : some.reduce((sum, row) => sum + row[2 + at], 0) / often));
    const most = Math.max(...means);
    cells.forEach(({ cell, text, title, name, before }, at) => {
      let [shade, value, mean] = before;
      if (narrowed && means[at] !== null) {
        const level = means[at] ? Math.ceil((8 * means[at]) / most) : 0;
        [shade, value] = [`cell q${level}`, `value v${level}`];
        mean = means[at] ? (means[at] < 0.05 ? "<0.1" : number(means[at], means[at] < 10 ? 1 : 0)) : "";
      }
      cell.setAttribute("class", shade);
      text.setAttribute("class", value);
      text.textContent = mean;
      title.textContent = narrowed && means[at] !== null ? name.replace(/: .*/, `: ${mean || 0}`) : name;
    });

    all(".calls").forEach((table) => {
      const fit = all("[data-f]", table).filter((row) => {
        const [p, d, l] = row.dataset.f.split(" ").map(Number);
        row.hidden = !(fits(d, l) && (period === null || p === period));
        return !row.hidden;
      });
      table.nextElementSibling.hidden = fit.length > 0;
    });
  }

  form.hidden = false;
  form.addEventListener("change", show);
  form.addEventListener("reset", () => setTimeout(show));
  form.addEventListener("submit", (event) => event.preventDefault());
}
